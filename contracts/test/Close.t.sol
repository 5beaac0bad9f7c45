// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {Fixture} from "./support/Fixture.sol";

contract CloseTest is Fixture {
    uint40 private closeAt;

    function setUp() public override {
        super.setUp();
        open(payer, 1000, 100);
        closeAt = uint40(block.timestamp) + 3 days;
    }

    function test_OwnerClosesOnce() public {
        vm.expectEmit(address(clearing));
        emit IMystClearing.Closing(payer.addr, closeAt);
        close();
        assertEq(clearing.account(payer.addr).closeAt, closeAt);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.AccountClosing.selector, payer.addr, closeAt));
        vm.prank(payer.addr);
        clearing.close(payer.addr);
    }

    function test_NobodyElseMovesAClose() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.NotOwner.selector, payer.addr, stranger));
        vm.prank(stranger);
        clearing.close(payer.addr);
        // an account that was never opened has no owner who could be imitated
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.NotOwner.selector, other.addr, stranger));
        vm.prank(stranger);
        clearing.close(other.addr);
    }

    function test_WithdrawsAfterThreeDaysAndNoSecondEarlier() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.TooEarly.selector, payer.addr, 0));
        vm.prank(payer.addr);
        clearing.withdraw(payer.addr, payer.addr);
        close();
        vm.warp(closeAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.TooEarly.selector, payer.addr, closeAt));
        vm.prank(payer.addr);
        clearing.withdraw(payer.addr, payer.addr);
        vm.warp(closeAt);
        vm.expectEmit(address(clearing));
        emit IMystClearing.Withdrawn(payer.addr, stranger, 1100);
        vm.prank(payer.addr);
        assertEq(clearing.withdraw(payer.addr, stranger), 1100);
        assertEq(token.balanceOf(stranger), 1100);
        assertEq(token.balanceOf(address(clearing)), 0);
    }

    function test_OnlyTheOwnerWithdraws() public {
        close();
        vm.warp(closeAt);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.NotOwner.selector, payer.addr, stranger));
        vm.prank(stranger);
        clearing.withdraw(payer.addr, stranger);
    }

    function test_WithdrawsNeitherToZeroNorIntoTheContract() public {
        close();
        vm.warp(closeAt);
        address[2] memory nowhere = [address(0), address(clearing)];
        for (uint256 i = 0; i < nowhere.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IMystClearing.RecipientInvalid.selector, nowhere[i]));
            vm.prank(payer.addr);
            clearing.withdraw(payer.addr, nowhere[i]);
        }
    }

    function test_ClaimsArePaidUntilTheWithdrawal() public {
        close();
        vm.warp(uint256(closeAt) + 1 days);
        assertEq(settle(claim(payer, 1, 300)), 300);
        vm.prank(payer.addr);
        assertEq(clearing.withdraw(payer.addr, payer.addr), 800);
        assertEq(settle(claim(payer, 1, 400)), 0);
    }

    function test_AClosedSignerIsNeverUsedAgain() public {
        close();
        vm.warp(closeAt);
        vm.startPrank(payer.addr);
        clearing.withdraw(payer.addr, payer.addr);
        assertEq(clearing.withdraw(payer.addr, payer.addr), 0);
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.AccountClosing.selector, payer.addr, closeAt));
        clearing.deposit(payer.addr, 1, 0, consent);
        vm.stopPrank();
    }

    function test_APausedTokenTurnsAWithdrawalIntoACredit() public {
        close();
        vm.warp(closeAt);
        token.pause(true);
        vm.prank(payer.addr);
        clearing.withdraw(payer.addr, payer.addr);
        assertEq(clearing.credits(payer.addr), 1100);
    }

    function close() private {
        vm.prank(payer.addr);
        clearing.close(payer.addr);
    }
}
