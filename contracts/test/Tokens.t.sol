// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IMystClearing} from "../src/IMystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";
import {FalseToken, FlakyToken, Reenterer, SilentToken} from "./support/Tokens.sol";

/// @dev Tokens that are paused, blacklist, take fees, answer strangely or call back: refused at the deposit, or survived.
contract TokensTest is Fixture {
    function test_ATokenThatReturnsNothingIsMoneyToo() public {
        with(address(new SilentToken()));
        open(payer, 1000, 100);
        assertEq(settle(claim(payer, 1, 300)), 300);
        assertEq(token.balanceOf(payout), 300);
        clear(claim(payer, 1, 400), noCheck());
        vm.prank(provider.addr);
        assertEq(clearing.collect(provider.addr), 100);
        assertEq(token.balanceOf(provider.addr), 100);
        goes(payer);
        assertEq(token.balanceOf(address(clearing)), 0);
    }

    function test_ATransferThatAnswersFalseIsNone() public {
        FalseToken wrong = new FalseToken();
        with(address(wrong));
        open(payer, 1000, 100);
        wrong.fail(true);
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(wrong)));
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 1, 0, consent);
        assertEq(settle(claim(payer, 1, 300)), 300);
        assertEq(clearing.credits(payout), 300);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.TransferFailed.selector, payout, 300));
        vm.prank(payout);
        clearing.collect(payout);
        wrong.fail(false);
        vm.prank(payout);
        clearing.collect(payout);
        assertEq(token.balanceOf(payout), 300);
    }

    /// @dev One that begins to take a fee takes it from the payee; the books of the contract still agree with what it holds.
    function test_AFeeThatComesLaterIsThePayees() public {
        open(payer, 1000, 100);
        token.takeFee(true);
        assertEq(settle(claim(payer, 1, 300)), 300);
        assertEq(token.balanceOf(payout), 299);
        assertEq(token.balanceOf(address(clearing)), 800);
        goes(payer);
        assertEq(token.balanceOf(address(clearing)), 0);
    }

    function test_AFrozenPayeeHoldsUpNoOther() public {
        open(payer, 1000, 100);
        open(other, 1000, 100);
        token.freeze(payout, true);
        settle(claim(payer, 1, 300));
        payout = makeAddr("another payout");
        settle(claim(other, 1, 200));
        assertEq(token.balanceOf(payout), 200);
        goes(other);
        assertEq(token.balanceOf(address(clearing)), 1100);
    }

    function test_AFrozenPayerIsGivenACredit() public {
        open(payer, 1000, 100);
        token.freeze(payer.addr, true);
        assertEq(settle(claim(payer, 1, 300)), 300);
        goes(payer);
        assertEq(clearing.credits(payer.addr), 800);
        vm.prank(payer.addr);
        clearing.collect(stranger);
        assertEq(token.balanceOf(stranger), 800);
    }

    function test_AFrozenContractOwesUntilItIsThawed() public {
        open(payer, 1000, 100);
        token.freeze(address(clearing), true);
        assertEq(settle(claim(payer, 1, 300)), 300);
        goes(payer);
        assertEq(clearing.credits(payout) + clearing.credits(payer.addr), 1100);
        token.freeze(address(clearing), false);
        vm.prank(payout);
        clearing.collect(payout);
        vm.prank(payer.addr);
        clearing.collect(payer.addr);
        assertEq(token.balanceOf(address(clearing)), 0);
    }

    function test_SettlingWithinASettlementPaysNothingMore() public {
        Reenterer r = reenterer();
        open(payer, 1000, 100);
        bytes memory again = abi.encodeCall(clearing.settle, (one(claimFor(address(r))), address(r)));
        r.arm(address(clearing), again);
        r.run(address(clearing), again);
        assertTrue(r.succeeded());
        assertEq(abi.decode(r.answer(), (uint256)), 0);
        assertEq(token.balanceOf(address(r)), 300);
        assertEq(clearing.account(payer.addr).balance, 700);
    }

    function test_CollectingWithinACollectionFindsNothing() public {
        Reenterer r = reenterer();
        open(payer, 1000, 100);
        token.pause(true);
        r.run(address(clearing), abi.encodeCall(clearing.settle, (one(claimFor(address(r))), address(r))));
        token.pause(false);
        assertEq(clearing.credits(address(r)), 300);
        r.arm(address(clearing), abi.encodeCall(clearing.collect, (address(r))));
        r.run(address(clearing), abi.encodeCall(clearing.collect, (address(r))));
        assertFalse(r.succeeded());
        assertEq(bytes4(r.answer()), IMystClearing.NothingToCollect.selector);
        assertEq(token.balanceOf(address(r)), 300);
    }

    function test_WithdrawingWithinAWithdrawalFindsNothing() public {
        Reenterer r = reenterer();
        openBy(r);
        r.run(address(clearing), abi.encodeCall(clearing.close, (payer.addr)));
        skip(3 days);
        bytes memory withdrawal = abi.encodeCall(clearing.withdraw, (payer.addr, address(r)));
        r.arm(address(clearing), withdrawal);
        r.run(address(clearing), withdrawal);
        assertTrue(r.succeeded());
        assertEq(abi.decode(r.answer(), (uint256)), 0);
        assertEq(token.balanceOf(address(r)), 1100);
    }

    /// @dev What leaves the contract in the middle of a deposit is missing from what it received.
    function test_CollectingWithinADepositIsNoDeposit() public {
        Reenterer r = reenterer();
        openBy(r);
        token.pause(true);
        r.run(address(clearing), abi.encodeCall(clearing.settle, (one(claimFor(address(r))), address(r))));
        token.pause(false);
        token.mint(address(r), 50);
        r.arm(address(clearing), abi.encodeCall(clearing.collect, (address(r))));
        vm.expectRevert();
        r.run(address(clearing), abi.encodeCall(clearing.deposit, (payer.addr, 50, 0, consentOf(payer, address(r)))));
        assertEq(clearing.account(payer.addr).line, 1000);
    }

    function with(address token_) private {
        token = FlakyToken(token_);
        Fixture.setUp();
    }

    function goes(Person memory p) private {
        vm.startPrank(p.addr);
        clearing.close(p.addr);
        skip(3 days);
        clearing.withdraw(p.addr, p.addr);
        vm.stopPrank();
    }

    function reenterer() private returns (Reenterer r) {
        r = new Reenterer();
        token.callOnTransfer(address(r));
    }

    /// @dev The payer's account, owned by the reenterer.
    function openBy(Reenterer r) private {
        token.mint(address(r), 1100);
        r.run(address(token), abi.encodeCall(token.approve, (address(clearing), type(uint256).max)));
        IMystClearing.Signature memory consent = consentOf(payer, address(r));
        r.run(address(clearing), abi.encodeCall(clearing.deposit, (payer.addr, 1000, 100, consent)));
    }

    /// @dev A promise of 300 to somebody.
    function claimFor(address to) private view returns (Promised memory c) {
        c = claim(payer, 1, 300);
        c.signature = signed(payer, promiseDigest(to, c));
    }

    function one(Promised memory c) private pure returns (IMystClearing.Claim[] memory) {
        return pack(list(c));
    }
}
