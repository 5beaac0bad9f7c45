// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {stdError} from "forge-std/StdError.sol";
import {IMystClearing} from "../src/IMystClearing.sol";
import {MystClearing} from "../src/MystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Caller} from "./support/Tokens.sol";

contract DepositTest is Fixture {
    function test_FirstDepositOpensTheAccount() public {
        vm.expectEmit(address(clearing));
        emit IMystClearing.Deposited(payer.addr, payer.addr, 100, 10, 100);
        open(payer, 100, 10);
        IMystClearing.Account memory a = clearing.account(payer.addr);
        assertEq(a.owner, payer.addr);
        assertEq(a.line, 100);
        assertEq(a.balance, 100);
        assertEq(a.bond, 10);
        assertEq(a.closeAt, 0);
        assertEq(token.balanceOf(address(clearing)), 110);
    }

    function test_LineGrowsWithEachDepositAndStaysWhenSpent() public {
        open(payer, 100, 10);
        settle(claim(payer, 1, 60));
        open(payer, 5, 1);
        IMystClearing.Account memory a = clearing.account(payer.addr);
        assertEq(a.line, 105);
        assertEq(a.balance, 45);
        assertEq(a.bond, 11);
    }

    function test_OwnerMayBeAnotherThanTheSigner() public {
        IMystClearing.Signature memory consent = consentOf(payer, other.addr);
        vm.prank(other.addr);
        clearing.deposit(payer.addr, 7, 0, consent);
        assertEq(clearing.account(payer.addr).owner, other.addr);
        assertEq(clearing.account(other.addr).line, 0);
    }

    function test_RefusesAnOwnerTheSignerDidNotConsentTo() public {
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.ConsentInvalid.selector, payer.addr, other.addr));
        vm.prank(other.addr);
        clearing.deposit(payer.addr, 7, 0, consent);
    }

    function test_NobodyOpensTheZeroAccount() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.ConsentInvalid.selector, address(0), other.addr));
        vm.prank(other.addr);
        clearing.deposit(address(0), 7, 0, IMystClearing.Signature(0, 0));
    }

    function test_OnlyTheOwnerTopsUp() public {
        open(payer, 100, 10);
        IMystClearing.Signature memory consent = consentOf(payer, other.addr);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.NotOwner.selector, payer.addr, other.addr));
        vm.prank(other.addr);
        clearing.deposit(payer.addr, 7, 0, consent);
    }

    function test_TakesNoDepositWhileClosing() public {
        open(payer, 100, 10);
        vm.prank(payer.addr);
        clearing.close(payer.addr);
        uint40 closeAt = clearing.account(payer.addr).closeAt;
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.AccountClosing.selector, payer.addr, closeAt));
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 1, 0, consent);
    }

    function test_RefusesATokenThatDeliversLess() public {
        token.takeFee(true);
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.ReceivedLess.selector, 110, 109));
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 100, 10, consent);
    }

    function test_RefusesADepositWithinADeposit() public {
        Caller caller = new Caller(clearing, payer.addr);
        token.mint(address(caller), 100);
        token.callOnTransfer(address(caller));
        IMystClearing.Signature memory consent = consentOf(payer, address(caller));
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        caller.deposit(token, 10, consent);
    }

    function test_LineOverflowReverts() public {
        open(payer, type(uint96).max, 0);
        token.mint(payer.addr, 1);
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(stdError.arithmeticError);
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 1, 0, consent);
    }

    function test_BondOverflowReverts() public {
        open(payer, 0, type(uint96).max);
        token.mint(payer.addr, 1);
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.expectRevert(stdError.arithmeticError);
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 0, 1, consent);
    }

    function test_AConsentIsForOneChain() public {
        IMystClearing.Signature memory consent = consentOf(payer, payer.addr);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.ConsentInvalid.selector, payer.addr, payer.addr));
        vm.prank(payer.addr);
        clearing.deposit(payer.addr, 7, 0, consent);
    }

    function test_AWrongPermitIsNoApproval() public {
        Person memory p = person("permitting");
        token.mint(p.addr, 110);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(p, 109);
        IMystClearing.Signature memory consent = consentOf(p, p.addr);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(clearing), 0, 110)
        );
        vm.prank(p.addr);
        clearing.depositWithPermit(p.addr, 100, 10, consent, block.timestamp, v, r, s);
    }

    function test_PermitStandsForAnApproval() public {
        Person memory p = person("permitting");
        token.mint(p.addr, 110);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(p, 110);
        IMystClearing.Signature memory consent = consentOf(p, p.addr);
        vm.prank(p.addr);
        clearing.depositWithPermit(p.addr, 100, 10, consent, block.timestamp, v, r, s);
        assertEq(clearing.account(p.addr).line, 100);
        assertEq(clearing.account(p.addr).bond, 10);
    }

    function test_APermitThatSomebodyUsedUpDoesNoHarm() public {
        Person memory p = person("permitting");
        token.mint(p.addr, 110);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(p, 110);
        vm.prank(stranger);
        token.permit(p.addr, address(clearing), 110, block.timestamp, v, r, s);
        IMystClearing.Signature memory consent = consentOf(p, p.addr);
        vm.prank(p.addr);
        clearing.depositWithPermit(p.addr, 100, 10, consent, block.timestamp, v, r, s);
        assertEq(clearing.account(p.addr).line, 100);
    }

    function test_RefusesATokenThatIsNone() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.TokenMissing.selector, stranger));
        new MystClearing(IERC20(stranger));
    }

    function permitOf(Person memory p, uint256 value) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash = keccak256(abi.encode(kind, p.addr, address(clearing), value, 0, block.timestamp));
        return vm.sign(p.key, keccak256(bytes.concat(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
    }
}
