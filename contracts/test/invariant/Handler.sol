// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {FlakyToken} from "../support/Tokens.sol";
import {Forgeries} from "./Forgeries.sol";
import {Market} from "./Market.sol";

/// @dev What anybody may do, in any order. Nothing here reverts: what must be refused is tried, and its success recorded.
contract Handler is Forgeries {
    uint256 private burnedByGone;

    constructor(FlakyToken token_, MystClearing clearing_) Market(token_, clearing_) {}

    function deposit(uint256 slot, uint96 amount, uint96 bond) external {
        Payer storage p = payers[active[slot % SLOTS]];
        if (token.paused() || p.closeAt != 0) return;
        put(p, uint96(bound(amount, 0, MOST / 4)), uint96(bound(bond, 0, MOST / 10)));
    }

    function owe(uint256 slot, uint256 provider, uint96 salt, uint96 amount) external {
        sign(active[slot % SLOTS], provider % 2, uint96(salt % SALTS), uint96(bound(amount, 1, MOST)));
    }

    /// @dev A batch, whatever is in it, must do what its claims do one by one, each of them even twice.
    function settle(uint256 pick, uint256 size, bool spoil) public {
        if (entries.length == 0) return;
        Entry[] memory batch = batchOf(pick, 1 + size % 4);
        address provider = providers[batch[0].provider].addr;
        IMystClearing.Claim[] memory claims = new IMystClearing.Claim[](batch.length + (spoil ? 1 : 0));
        for (uint256 i = 0; i < batch.length; ++i) {
            claims[i] = pack(batch[i].claim);
        }
        // what is not good is skipped and holds up nothing
        if (spoil) {
            (claims[0], claims[batch.length]) = (spoilt(batch[0].claim), claims[0]);
        }
        uint256 start = vm.snapshotState();
        uint256 sum = settleAll(claims, provider);
        bytes32 afterBatch = fingerprint(batch);
        vm.revertToState(start);
        uint256 single;
        for (uint256 i = spoil ? 1 : 0; i < claims.length; ++i) {
            single += presentBySettle(batch[i % batch.length]);
        }
        rule(7, sum == single, "a batch paid another sum than its claims");
        rule(7, afterBatch == fingerprint(batch), "a batch left another state than its claims");
    }

    function clear(uint256 pick, uint16 feeBps, uint40 valid) external {
        if (entries.length == 0) return;
        Entry memory e = recent(pick);
        IMystClearing.Check memory k;
        k.provider = providers[e.provider].addr;
        if (feeBps % 4 != 0) {
            k = checkOf(e, uint16(bound(feeBps, 0, 10_000)), uint40(block.timestamp + valid % 1 days));
            count("check");
        }
        presentByClear(e, k);
        count("clear");
    }

    function collect(uint256 who, bool elsewhere) public {
        token.pause(false);
        address[] memory all = payees();
        address payee = all[who % all.length];
        for (uint256 i = 0; i < all.length && clearing.credits(payee) == 0; ++i) {
            payee = all[i];
        }
        uint256 credit = clearing.credits(payee);
        if (credit == 0) return;
        token.freeze(payee, false);
        address to = elsewhere ? outsider : payee;
        uint256 before = token.balanceOf(to);
        vm.prank(payee);
        uint256 got = clearing.collect(to);
        rule(1, got == credit && token.balanceOf(to) == before + credit, "a credit was collected as another sum");
        rule(1, clearing.credits(payee) == 0, "a credit was collected and is still there");
        count("credit");
    }

    /// @dev A token that fails everybody, as when its issuer pauses it, or one payee, as when it freezes that. It may stay so for a while.
    function pause(uint256 pick, uint256 size, bool stay) external {
        address payee = providers[pick % 2].addr;
        bool all = size % 3 != 0;
        if (all) token.pause(true);
        else token.freeze(payee, true);
        settle(pick, size, false);
        count("paused");
        if (stay) return;
        token.pause(false);
        token.freeze(payee, false);
        collect(pick, false);
    }

    function close(uint256 slot, uint256 chance) external {
        Payer storage p = payers[active[slot % SLOTS]];
        if (p.closeAt != 0 || chance % 2 != 0) return;
        begin(p);
    }

    /// @dev A liar promises more than it has, to one who clears it at once.
    function cheat(uint256 slot, uint256 provider, uint96 amount) external {
        uint256 n = active[slot % 2 == 0 ? 1 : 4];
        sign(n, provider % 2, 0, uint96(bound(amount, MOST, 2 * MOST)));
        presentBySettle(entries[entries.length - 1]);
    }

    /// @dev Not a second early; then everything, once.
    function withdraw(uint256 slot, uint256 chance) external {
        slot %= SLOTS;
        // rather one that closes
        for (uint256 i = 0; i < SLOTS && payers[active[slot]].closeAt == 0; ++i) {
            slot = (slot + 1) % SLOTS;
        }
        Payer storage p = payers[active[slot]];
        if (p.closeAt == 0 || block.timestamp < p.closeAt) {
            if (p.closeAt != 0 && chance % 8 != 0) vm.warp(p.closeAt - 1);
            vm.prank(p.owner);
            try clearing.withdraw(p.key.addr, p.owner) {
                rule(5, false, "a withdrawal came before its time");
            } catch {}
        }
        if (chance % 8 == 0) return;
        if (p.closeAt == 0) begin(p);
        if (block.timestamp < p.closeAt) vm.warp(p.closeAt);
        finish(p);
        join(slot);
    }

    function begin(Payer storage p) private {
        vm.prank(p.owner);
        clearing.close(p.key.addr);
        p.closeAt = uint40(block.timestamp) + 3 days;
        count("close");
    }

    function finish(Payer storage p) private {
        IMystClearing.Account memory a = clearing.account(p.key.addr);
        uint256 before = worth(p.owner);
        vm.prank(p.owner);
        uint256 amount = clearing.withdraw(p.key.addr, p.owner);
        rule(4, clearing.account(p.key.addr).closeAt == p.closeAt, "a withdrawal undid the close");
        vm.prank(p.owner);
        try clearing.withdraw(p.key.addr, p.owner) returns (uint256 again) {
            rule(5, again == 0, "a withdrawal came twice");
        } catch {}
        p.withdrawn = amount;
        p.gone = true;
        rule(5, amount == uint256(a.balance) + a.bond, "a withdrawal took another sum than was left");
        rule(5, worth(p.owner) == before + amount, "the owner got another sum than it withdrew");
        if (clearing.credits(p.owner) > 0) creditors.push(p.owner);
        // of who is gone nothing is left, now or later: the sums below are without it
        rule(5, holdings(p.key.addr) == 0, "something was left after a withdrawal");
        if (p.deposited + p.bonded >= p.paid + amount) burnedByGone += p.deposited + p.bonded - p.paid - amount;
        count("withdraw");
    }

    // what the invariants compare

    function held() external view returns (uint256) {
        return token.balanceOf(address(clearing));
    }

    /// @dev All that the contract owes.
    function owed() external view returns (uint256 sum) {
        for (uint256 i = 0; i < SLOTS; ++i) {
            sum += holdings(payers[active[i]].key.addr);
        }
        for (uint256 i = 0; i < forgers.length; ++i) {
            sum += holdings(forgers[i]);
        }
        address[] memory all = payees();
        for (uint256 i = 0; i < all.length; ++i) {
            sum += clearing.credits(all[i]);
        }
        sum += clearing.burned();
    }

    /// @dev Rule by rule, what is to be seen on the accounts as they are now.
    function look() external {
        uint256 missing = burnedByGone;
        for (uint256 i = 0; i < SLOTS; ++i) {
            Payer storage p = payers[active[i]];
            IMystClearing.Account memory a = clearing.account(p.key.addr);
            rule(3, a.line == p.deposited, "the line is not all deposits ever made");
            rule(4, a.owner == p.owner, "the owner is another");
            rule(4, a.closeAt == p.closeAt, "the close was moved");
            (uint256 put, uint256 is_) = (p.deposited + p.bonded, uint256(a.balance) + a.bond + p.paid);
            rule(5, is_ <= put, "an account holds what nobody deposited");
            if (is_ > put) continue;
            uint256 left = put - is_;
            if (p.kind == Kind.Honest) {
                rule(3, a.bond == p.bonded, "an honest account lost bond");
                rule(5, left == 0, "something else than claims left an honest account");
            }
            missing += left;
        }
        rule(5, missing == clearing.burned(), "what left the accounts is neither claims nor burned");
    }

    function holdings(address signer) private view returns (uint256) {
        IMystClearing.Account memory a = clearing.account(signer);
        return uint256(a.balance) + a.bond;
    }
}
