// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";

contract ClearTest is Fixture {
    uint40 private later;

    function setUp() public override {
        super.setUp();
        open(payer, 1000, 100);
        later = uint40(block.timestamp) + 1 hours;
    }

    function test_PaysTheFeeAndCreditsThePayee() public {
        Promised memory c = claim(payer, 1, 300);
        vm.expectEmit(address(clearing));
        emit IMystClearing.Cleared(payer.addr, channelOf(provider.addr, 1), content(300, 300, 300), 300);
        vm.expectEmit(address(clearing));
        emit IMystClearing.Credited(payout, 291);
        assertEq(clear(c, check(c, 300, later)), 9);
        assertEq(token.balanceOf(stranger), 9);
        assertEq(clearing.credits(payout), 291);
        vm.prank(payout);
        clearing.collect(payout);
        assertEq(token.balanceOf(payout), 291);
    }

    function test_WithoutACheckTheProviderIsCreditedAndNobodyEarns() public {
        Promised memory c = claim(payer, 1, 300);
        assertEq(clear(c, noCheck()), 0);
        assertEq(clearing.credits(provider.addr), 300);
        assertEq(token.balanceOf(stranger), 0);
    }

    function test_WithoutACheckNobodyElseIsCredited() public {
        IMystClearing.Check memory k = noCheck();
        k.provider = stranger;
        assertEq(clear(claim(payer, 1, 300), k), 0);
        assertEq(clearing.credits(stranger), 0);
        assertEq(paidTo(payer, 1), 0);
    }

    function test_SkipsACheckThatIsNotSignedSo() public {
        Promised memory c = claim(payer, 1, 300);
        IMystClearing.Check memory k = check(c, 300, later);
        k.feeBps = 301;
        refused(c, k);
        k = check(c, 300, later);
        k.to = stranger;
        refused(c, k);
        k = check(c, 300, later);
        k.deadline += 1;
        refused(c, k);
        k = check(c, 300, later);
        k.provider = stranger;
        refused(c, k);
        // a good check, for another promise
        refused(c, check(claim(payer, 1, 299), 300, later));
        // only one half of a signature is not the absence of one
        k = noCheck();
        k.signature.r = bytes32(uint256(1));
        refused(c, k);
    }

    function test_SkipsACheckFromYesterday() public {
        Promised memory c = claim(payer, 1, 300);
        IMystClearing.Check memory k = check(c, 300, later);
        vm.warp(uint256(later) + 1);
        refused(c, k);
        vm.warp(later);
        assertEq(clear(c, k), 9);
    }

    function test_SkipsAFeeOverTheWhole() public {
        Promised memory c = claim(payer, 1, 300);
        refused(c, check(c, 10_001, later));
        assertEq(clear(c, check(c, 10_000, later)), 300);
        assertEq(clearing.credits(payout), 0);
    }

    function test_SkipsACheckToNowhere() public {
        Promised memory c = claim(payer, 1, 300);
        address[2] memory nowhere = [address(0), address(clearing)];
        for (uint256 i = 0; i < nowhere.length; ++i) {
            payout = nowhere[i];
            refused(c, check(c, 300, later));
        }
    }

    function test_TheDomainOfACheckFollowsTheChain() public {
        IMystClearing.Check memory before = check(claim(payer, 1, 300), 300, later);
        vm.chainId(block.chainid + 1);
        Promised memory c = claim(payer, 1, 300);
        refused(c, before);
        assertEq(clear(c, check(c, 300, later)), 9);
    }

    function test_AGoodEntryIsPaidBesideABadOne() public {
        Promised memory bad = claim(payer, 1, 300);
        Promised memory good = claim(payer, 2, 200);
        IMystClearing.Check[] memory checks = new IMystClearing.Check[](2);
        (checks[0], checks[1]) = (check(good, 100, later), check(good, 100, later));
        vm.prank(stranger);
        assertEq(clearing.clear(pack(list(bad, good)), checks), 2);
        assertEq(paidTo(payer, 1), 0);
        assertEq(paidTo(payer, 2), 200);
    }

    function test_AFrozenSubmitterHoldsUpNobody() public {
        token.freeze(stranger, true);
        Promised memory c = claim(payer, 1, 300);
        clear(c, check(c, 300, later));
        assertEq(clearing.credits(stranger), 9);
        assertEq(clearing.credits(payout), 291);
    }

    function test_NeedsACheckForEachClaim() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.LengthMismatch.selector, 1, 0));
        clearing.clear(pack(list(claim(payer, 1, 300))), new IMystClearing.Check[](0));
    }

    function test_NoCheckIsSubmittedTwice() public {
        Promised memory c = claim(payer, 1, 300);
        clear(c, check(c, 300, later));
        assertEq(clear(c, check(c, 300, later)), 0);
        assertEq(settle(c), 0);
        assertEq(token.balanceOf(stranger), 9);
    }

    function refused(Promised memory c, IMystClearing.Check memory k) private {
        assertEq(clear(c, k), 0);
        assertEq(paidTo(payer, c.salt), 0);
        assertEq(clearing.account(payer.addr).balance, 1000);
    }
}
