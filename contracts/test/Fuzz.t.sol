// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";

contract FuzzTest is Fixture {
    function testFuzz_PaysTheLesserOfOwedAndBalance(uint96 amount, uint96 first, uint96 second) public {
        open(payer, amount, 0);
        uint256 paidFirst = settle(claim(payer, 1, first));
        uint256 paidSecond = settle(claim(payer, 1, second));
        uint256 most = first > second ? first : second;
        assertEq(paidFirst, first < amount ? first : amount, "first");
        assertEq(paidFirst + paidSecond, most < amount ? most : amount, "both");
        assertEq(paidTo(payer, 1), paidFirst + paidSecond, "paid");
    }

    function testFuzz_ABatchIsItsClaimsInSequence(uint96[4] memory amounts, uint8[4] memory salts, uint96 deposit)
        public
    {
        open(payer, deposit, 0);
        Promised[] memory claims = new Promised[](4);
        for (uint256 i = 0; i < 4; ++i) {
            claims[i] = claim(payer, salts[i] % 3, amounts[i]);
        }
        uint256 start = vm.snapshotState();
        uint256 batch = settle(claims);
        uint96[3] memory after_ = [paidTo(payer, 0), paidTo(payer, 1), paidTo(payer, 2)];
        vm.revertToState(start);
        uint256 sum;
        for (uint256 i = 0; i < 4; ++i) {
            sum += settle(claims[i]);
        }
        assertEq(batch, sum, "sum");
        for (uint96 salt = 0; salt < 3; ++salt) {
            assertEq(after_[salt], paidTo(payer, salt), "channel");
        }
    }

    function testFuzz_FeeAndCreditAreThePayment(uint96 deposit, uint96 amount, uint16 feeBps) public {
        open(payer, deposit, 0);
        Promised memory c = claim(payer, 1, amount);
        uint256 fee = clear(c, check(c, feeBps, type(uint40).max));
        uint256 pay = feeBps > 10_000 ? 0 : amount < deposit ? amount : deposit;
        assertEq(fee, pay * feeBps / 10_000, "fee");
        assertEq(clearing.credits(payout), pay - fee, "credit");
        assertEq(paidTo(payer, 1), pay, "paid");
    }

    function testFuzz_AnyOtherSignatureIsRefused(bytes32 r, bytes32 vs) public {
        open(payer, 100, 0);
        Promised memory c = claim(payer, 1, 50);
        vm.assume(r != c.signature.r || vs != c.signature.vs);
        c.signature = IMystClearing.Signature(r, vs);
        assertEq(settle(c), 0);
    }

    function testFuzz_WhatIsHeldIsWhatIsOwed(uint96 amount, uint96 bond, uint96 claimed, uint96 cleared, bool paused)
        public
    {
        amount = uint96(bound(amount, 0, type(uint96).max / 2));
        bond = uint96(bound(bond, 0, type(uint96).max / 2));
        open(payer, amount, bond);
        open(other, bond, amount);
        token.pause(paused);
        settle(claim(payer, 1, claimed));
        clear(claim(other, 1, cleared), noCheck());
        vm.prank(payer.addr);
        clearing.close(payer.addr);
        skip(3 days);
        vm.prank(payer.addr);
        clearing.withdraw(payer.addr, payer.addr);
        assertEq(token.balanceOf(address(clearing)), owed(), "held = owed");
    }

    function owed() private view returns (uint256) {
        IMystClearing.Account memory a = clearing.account(payer.addr);
        IMystClearing.Account memory b = clearing.account(other.addr);
        return uint256(a.balance) + a.bond + b.balance + b.bond + clearing.burned() + clearing.credits(payout)
            + clearing.credits(provider.addr) + clearing.credits(payer.addr) + clearing.credits(stranger);
    }
}
