// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {Promised} from "../support/Signing.sol";
import {Market} from "./Market.sol";

/// @dev Presents claims and compares what became of them with the rules. The numbers are the design's.
abstract contract Judge is Market {
    struct Stand {
        uint256 paid;
        uint256 balance;
        uint256 bond;
        uint256 line;
        uint256 burned;
        uint256 payee;
        uint256 watcher;
    }

    function stand(Promised memory c, address provider) internal view returns (Stand memory s) {
        IMystClearing.Account memory a = clearing.account(c.signer);
        s.paid = clearing.paid(c.signer, channelOf(provider, c.salt));
        (s.balance, s.bond, s.line) = (a.balance, a.bond, a.line);
        s.burned = clearing.burned();
        s.payee = worth(provider);
        s.watcher = worth(watcher);
    }

    function one(Promised memory c) internal pure returns (IMystClearing.Claim[] memory claims) {
        claims = new IMystClearing.Claim[](1);
        claims[0] = pack(c);
    }

    function settleOne(Promised memory c, address by) internal returns (uint256) {
        return settleAll(one(c), by);
    }

    function settleAll(IMystClearing.Claim[] memory claims, address by) internal returns (uint256 sum) {
        vm.prank(by);
        try clearing.settle(claims, by) returns (uint256 sum_) {
            sum = sum_;
        } catch {
            rule(7, false, "a claim held up its batch");
        }
    }

    function clearOne(Promised memory c, IMystClearing.Check memory k) internal returns (uint256 fee) {
        IMystClearing.Check[] memory checks = new IMystClearing.Check[](1);
        checks[0] = k;
        vm.prank(watcher);
        try clearing.clear(one(c), checks) returns (uint256 fee_) {
            fee = fee_;
        } catch {
            rule(7, false, "a claim held up its batch");
        }
    }

    function checkOf(Entry memory e, uint16 feeBps, uint40 deadline)
        internal
        view
        returns (IMystClearing.Check memory k)
    {
        Person memory p = providers[e.provider];
        bytes32 digest = checkDigest(promiseDigest(p.addr, e.claim), p.addr, feeBps, deadline);
        k = IMystClearing.Check(p.addr, p.addr, feeBps, deadline, signed(p, digest));
    }

    /// @dev The provider settles it; then once more, which must do nothing.
    function presentBySettle(Entry memory e) internal returns (uint256 sum) {
        address provider = providers[e.provider].addr;
        Stand memory a = stand(e.claim, provider);
        sum = settleOne(e.claim, provider);
        Stand memory b = stand(e.claim, provider);
        if (!judge(e, a, b)) return sum;
        rule(2, sum == b.paid - a.paid, "settle returned another sum than it paid");
        rule(2, b.payee == a.payee + sum, "the provider got another sum than it was paid");
        settleOne(e.claim, provider);
        same(6, b, stand(e.claim, provider), "a claim settled twice counted twice");
    }

    /// @dev Somebody clears it, with a check or, where feeBps and deadline are 0, without; then once more, which must do nothing.
    function presentByClear(Entry memory e, IMystClearing.Check memory k) internal {
        address provider = providers[e.provider].addr;
        Stand memory a = stand(e.claim, provider);
        uint256 fee = clearOne(e.claim, k);
        Stand memory b = stand(e.claim, provider);
        if (!judge(e, a, b)) return;
        rule(2, fee == (b.paid - a.paid) * k.feeBps / 10_000, "the fee is not the check's part");
        rule(2, b.watcher == a.watcher + fee, "the submitter got another sum than its fee");
        rule(2, b.payee + fee == a.payee + b.paid - a.paid, "the provider got another sum than remains after the fee");
        clearOne(e.claim, k);
        same(6, b, stand(e.claim, provider), "a claim cleared twice counted twice");
    }

    /// @dev What is not signed so must do nothing.
    function refused(Stand memory before, Promised memory c, address provider, string memory otherwise) internal {
        same(2, before, stand(c, provider), otherwise);
    }

    function same(uint256 number, Stand memory a, Stand memory b, string memory otherwise) private {
        rule(number, keccak256(abi.encode(a)) == keccak256(abi.encode(b)), otherwise);
    }

    /// @return whether the numbers make sense enough to go on
    function judge(Entry memory e, Stand memory a, Stand memory b) private returns (bool) {
        Payer storage p = payers[e.payer];
        Promised memory c = e.claim;
        bytes32 channel = channelOf(providers[e.provider].addr, c.salt);
        rule(2, b.paid >= a.paid, "paid fell");
        rule(8, b.burned >= a.burned, "what burned came back");
        if (b.paid < a.paid || b.burned < a.burned) return false;
        rule(2, b.paid <= signedMost[c.signer][channel], "paid exceeds what was signed");
        uint256 got = b.paid - a.paid;
        if (p.gone) rule(5, got == 0, "an account that is gone paid");
        p.paid += got;
        uint256 owed = c.cumulative > a.paid ? c.cumulative - a.paid : 0;
        uint256 burnt = b.burned - a.burned;
        rule(
            5, a.balance + a.bond - b.balance - b.bond == got + burnt, "something else than the claim left the account"
        );
        if (p.kind == Kind.Honest && !p.gone) {
            rule(3, b.paid >= c.cumulative, "an honest account did not pay in full");
            rule(3, b.bond == a.bond, "an honest account was slashed");
        }
        if (owed > a.balance && a.bond > 0 && c.total <= p.deposited) {
            count("slash");
            uint256 most = owed - a.balance < a.bond / 8 ? owed - a.balance : a.bond / 8;
            rule(8, b.bond == 0, "a lie left a bond");
            rule(8, burnt * 8 >= a.bond * 7, "less than 7/8 of the bond burned");
            rule(8, got == a.balance + most, "a bounced claim got another sum than is its part");
        } else {
            if (owed > a.balance) count("bounce without a slash");
            rule(8, b.bond == a.bond && burnt == 0, "a bond burned without a lie");
            rule(5, got == (owed < a.balance ? owed : a.balance), "a claim got another sum than it was good for");
        }
        return true;
    }
}
