// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {FlakyToken} from "./Tokens.sol";
import {Promised, Signing} from "./Signing.sol";

/// @dev A contract, two payers and a provider.
abstract contract Fixture is Signing {
    Person internal payer;
    Person internal other;
    Person internal provider;
    address internal stranger = makeAddr("stranger");
    address internal payout = makeAddr("payout");

    /// @dev Set what stands in for it before, or a token comes that can do everything a token should not.
    function setUp() public virtual {
        if (address(token) == address(0)) token = new FlakyToken();
        clearing = new MystClearing(token);
        payer = person("payer");
        other = person("other");
        provider = person("provider");
        fund(payer.addr);
        fund(other.addr);
    }

    /// @dev The person is owner and signer at once.
    function open(Person memory p, uint96 amount, uint96 bond) internal {
        IMystClearing.Signature memory consent = consentOf(p, p.addr);
        vm.prank(p.addr);
        clearing.deposit(p.addr, amount, bond, consent);
    }

    /// @dev A promise of `p` to the provider, its total and seq as large as the amount.
    function claim(Person memory p, uint96 salt, uint96 cumulative) internal view returns (Promised memory c) {
        c = Promised({
            signer: p.addr,
            salt: salt,
            cumulative: cumulative,
            total: cumulative,
            seq: uint64(cumulative),
            signature: IMystClearing.Signature(0, 0)
        });
        c.signature = signed(p, promiseDigest(provider.addr, c));
    }

    function check(Promised memory c, uint16 feeBps, uint40 deadline)
        internal
        view
        returns (IMystClearing.Check memory k)
    {
        bytes32 digest = checkDigest(promiseDigest(provider.addr, c), payout, feeBps, deadline);
        k = IMystClearing.Check({
            provider: provider.addr, to: payout, feeBps: feeBps, deadline: deadline, signature: signed(provider, digest)
        });
    }

    function noCheck() internal view returns (IMystClearing.Check memory k) {
        k.provider = provider.addr;
    }

    function settle(Promised memory c) internal returns (uint256) {
        return settle(list(c));
    }

    function settle(Promised[] memory claims) internal returns (uint256) {
        vm.prank(provider.addr);
        return clearing.settle(pack(claims), payout);
    }

    function clear(Promised memory c, IMystClearing.Check memory k) internal returns (uint256) {
        IMystClearing.Check[] memory checks = new IMystClearing.Check[](1);
        checks[0] = k;
        vm.prank(stranger);
        return clearing.clear(pack(list(c)), checks);
    }

    function list(Promised memory a) internal pure returns (Promised[] memory claims) {
        claims = new Promised[](1);
        claims[0] = a;
    }

    function list(Promised memory a, Promised memory b) internal pure returns (Promised[] memory claims) {
        claims = new Promised[](2);
        (claims[0], claims[1]) = (a, b);
    }

    function paidTo(Person memory p, uint96 salt) internal view returns (uint96) {
        return clearing.paid(p.addr, channelOf(provider.addr, salt));
    }
}
