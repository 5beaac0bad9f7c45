// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";

/// @dev In the fixture a promise's total is its own cumulative: two channels of one payer contradict each other.
contract BounceTest is Fixture {
    function setUp() public override {
        super.setUp();
        open(payer, 1000, 100);
        settle(claim(payer, 1, 900));
    }

    function test_PaysAnEighthOfTheBondAndBurnsTheRest() public {
        vm.expectEmit(address(clearing));
        emit IMystClearing.Cleared(payer.addr, channelOf(provider.addr, 2), content(300, 300, 300), 112);
        vm.expectEmit(address(clearing));
        emit IMystClearing.Bounced(payer.addr, channelOf(provider.addr, 2), 200);
        vm.expectEmit(address(clearing));
        emit IMystClearing.BondBurned(payer.addr, channelOf(provider.addr, 2), 12, 88);
        assertEq(settle(claim(payer, 2, 300)), 112);
        assertEq(token.balanceOf(payout), 1012);
        stands(0, 0, 88);
        assertEq(paidTo(payer, 2), 112);
    }

    function test_TakesFromTheBondNoMoreThanIsShort() public {
        vm.expectEmit(address(clearing));
        emit IMystClearing.BondBurned(payer.addr, channelOf(provider.addr, 2), 5, 95);
        assertEq(settle(claim(payer, 2, 105)), 105);
        stands(0, 0, 95);
    }

    function test_ABondUnderEightBurnsWhole() public {
        open(other, 10, 7);
        assertEq(settle(list(claim(other, 1, 10), claim(other, 2, 10))), 10);
        assertEq(clearing.account(other.addr).bond, 0);
        assertEq(clearing.burned(), 7);
    }

    function test_AnExactBalanceDoesNotBounce() public {
        assertEq(settle(claim(payer, 2, 100)), 100);
        stands(0, 100, 0);
    }

    function test_OnceGoneTheBondPaysNobody() public {
        settle(claim(payer, 2, 300));
        vm.expectEmit(address(clearing));
        emit IMystClearing.Bounced(payer.addr, channelOf(provider.addr, 3), 50);
        assertEq(settle(claim(payer, 3, 50)), 0);
        assertEq(settle(claim(payer, 2, 300)), 0);
        stands(0, 0, 88);
    }

    function test_ATotalOverTheLineIsPaidWhileThereIsBalanceAndBurnsNothing() public {
        assertEq(settle(claim(payer, 2, 1001)), 100);
        assertEq(settle(claim(payer, 3, 1001)), 0);
        stands(0, 100, 0);
        // nor does it once another claim is short; that one does
        assertEq(settle(claim(payer, 4, 1000)), 12);
        stands(0, 0, 88);
    }

    function test_ATotalAtTheLineBurns() public {
        assertEq(settle(claim(payer, 2, 1000)), 112);
        stands(0, 0, 88);
    }

    function test_ATruthfulTotalUpToTheLineIsNeverShort() public {
        assertEq(settle(claim(payer, 1, 1000)), 100);
        stands(0, 100, 0);
    }

    function test_WhatTheBondPaidIsNotPaidAgain() public {
        Promised memory c = claim(payer, 2, 300);
        settle(c);
        open(payer, 500, 80);
        assertEq(settle(c), 188);
        assertEq(settle(c), 0);
        assertEq(paidTo(payer, 2), 300);
        stands(312, 80, 88);
    }

    function test_BurnsWhileClosingButNothingAfterTheWithdrawal() public {
        vm.prank(payer.addr);
        clearing.close(payer.addr);
        skip(3 days);
        uint256 snapshot = vm.snapshotState();
        assertEq(settle(claim(payer, 2, 300)), 112);
        stands(0, 0, 88);
        vm.prank(payer.addr);
        assertEq(clearing.withdraw(payer.addr, payer.addr), 0);
        vm.revertToState(snapshot);
        vm.prank(payer.addr);
        assertEq(clearing.withdraw(payer.addr, payer.addr), 200);
        assertEq(settle(claim(payer, 2, 300)), 0);
        stands(0, 0, 0);
    }

    function test_WhoeverClearsItIsPaidItsFeeOfTheBondsPartToo() public {
        Promised memory c = claim(payer, 2, 300);
        assertEq(clear(c, check(c, 1000, type(uint40).max)), 11);
        assertEq(clearing.credits(payout), 101);
        stands(0, 0, 88);
    }

    function test_WithoutACheckTheProviderIsCreditedTheBondsPart() public {
        assertEq(clear(claim(payer, 2, 300), noCheck()), 0);
        assertEq(clearing.credits(provider.addr), 112);
        stands(0, 0, 88);
    }

    function test_AForgedClaimBurnsNothing() public {
        Promised memory c = claim(payer, 2, 300);
        c.total = 299;
        assertEq(settle(c), 0);
        c = claim(payer, 2, 300);
        assertEq(clear(c, check(claim(payer, 2, 301), 0, type(uint40).max)), 0);
        stands(100, 100, 0);
    }

    function stands(uint96 balance, uint96 bond, uint256 burned) private view {
        IMystClearing.Account memory a = clearing.account(payer.addr);
        assertEq(a.balance, balance, "balance");
        assertEq(a.bond, bond, "bond");
        assertEq(clearing.burned(), burned, "burned");
        uint256 owed = uint256(a.balance) + a.bond + clearing.credits(payout) + clearing.credits(provider.addr) + burned;
        assertEq(token.balanceOf(address(clearing)), owed, "what the contract holds");
    }
}
