// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {MystClearing} from "../src/MystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {HighS} from "./support/HighS.sol";
import {Promised} from "./support/Signing.sol";

contract SettleTest is Fixture {
    function setUp() public override {
        super.setUp();
        open(payer, 1000, 100);
    }

    function test_PaysTheProviderAndTellsSo() public {
        vm.expectEmit(address(clearing));
        emit IMystClearing.Cleared(payer.addr, channelOf(provider.addr, 1), content(300, 300, 300), 300);
        assertEq(settle(claim(payer, 1, 300)), 300);
        assertEq(token.balanceOf(payout), 300);
        assertEq(paidTo(payer, 1), 300);
        assertEq(clearing.account(payer.addr).balance, 700);
        assertEq(clearing.account(payer.addr).line, 1000);
    }

    function test_PaysOnlyWhatIsNew() public {
        settle(claim(payer, 1, 300));
        assertEq(settle(claim(payer, 1, 450)), 150);
        assertEq(token.balanceOf(payout), 450);
    }

    function test_AClaimTwiceCountsOnce() public {
        Promised memory c = claim(payer, 1, 300);
        assertEq(settle(list(c, c)), 300);
        assertEq(settle(c), 0);
        assertEq(token.balanceOf(payout), 300);
    }

    function test_AnOlderPromisePaysNothing() public {
        settle(claim(payer, 1, 300));
        assertEq(settle(claim(payer, 1, 299)), 0);
        assertEq(paidTo(payer, 1), 300);
    }

    function test_NobodyElseSettlesIt() public {
        Promised memory c = claim(payer, 1, 300);
        vm.prank(stranger);
        assertEq(clearing.settle(pack(list(c)), stranger), 0);
        assertEq(token.balanceOf(stranger), 0);
    }

    function test_SkipsWhatIsNotSignedSo() public {
        Promised memory good = claim(payer, 2, 40);
        Promised memory bad = claim(payer, 1, 300);
        bad.cumulative = 301;
        assertEq(settle(list(bad, good)), 40);
        bad = claim(payer, 1, 300);
        bad.total += 1;
        assertEq(settle(bad), 0);
        bad = claim(payer, 1, 300);
        bad.seq += 1;
        assertEq(settle(bad), 0);
        bad = claim(payer, 1, 300);
        bad.salt += 1;
        assertEq(settle(bad), 0);
        bad = claim(payer, 1, 300);
        bad.signer = other.addr;
        assertEq(settle(bad), 0);
    }

    function test_SkipsAHighS() public {
        Promised memory c = claim(payer, 1, 300);
        bytes32 digest = promiseDigest(provider.addr, c);
        Person memory forger;
        (forger.key, c.signature) = HighS.forge(digest);
        forger.addr = vm.addr(forger.key);
        fund(forger.addr);
        open(forger, 1000, 0);
        c.signer = forger.addr;
        assertEq(ecrecover(digest, 27, c.signature.r, c.signature.vs), forger.addr, "valid but for its s");
        assertEq(settle(c), 0, "high s");
        c.signature = signed(forger, digest);
        assertEq(settle(c), 300, "low s");
    }

    /// @dev The first 64 of the usual 65 bytes are r and s: without the parity they would fit whatever v was.
    function test_SkipsTheUsual65BytesWithoutTheirLast() public {
        Promised memory c = claim(payer, 1, 300);
        for (uint96 salt = 2; uint256(c.signature.vs) >> 255 == 0; ++salt) {
            c = claim(payer, salt, 300);
        }
        c.signature.vs &= bytes32(type(uint256).max >> 1);
        assertEq(settle(c), 0);
        assertEq(paidTo(payer, c.salt), 0);
    }

    /// @dev With 65 bytes for a signature, and with one byte more, it is no call of ours, or means the same.
    function test_CalldataHasNoRoomForAnotherEncoding() public {
        Promised memory c = claim(payer, 1, 300);
        bytes memory usual = abi.encodeWithSignature(
            "settle((bytes32,bytes32,bytes)[],address)",
            new bytes32[](0),
            payout,
            bytes.concat(c.signature.r, c.signature.vs, hex"1b")
        );
        vm.prank(provider.addr);
        (bool ok,) = address(clearing).call(usual);
        assertFalse(ok, "another function");
        vm.prank(provider.addr);
        (ok,) = address(clearing).call(bytes.concat(abi.encodeCall(clearing.settle, (pack(list(c)), payout)), hex"1b"));
        assertTrue(ok);
        assertEq(token.balanceOf(payout), 300);
    }

    function test_SkipsSignaturesOfNobody() public {
        Promised memory c = claim(payer, 1, 300);
        c.signer = address(0);
        c.signature = IMystClearing.Signature(0, 0);
        assertEq(settle(c), 0);
    }

    function test_AFrozenPayeeGetsACredit() public {
        token.freeze(payout, true);
        vm.expectEmit(address(clearing));
        emit IMystClearing.Credited(payout, 300);
        assertEq(settle(claim(payer, 1, 300)), 300);
        assertEq(clearing.credits(payout), 300);
        token.freeze(payout, false);
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.RecipientInvalid.selector, address(0)));
        vm.prank(payout);
        clearing.collect(address(0));
        vm.prank(payout);
        assertEq(clearing.collect(stranger), 300);
        assertEq(token.balanceOf(stranger), 300);
        assertEq(clearing.credits(payout), 0);
    }

    function test_CollectNeedsACreditAndATransfer() public {
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.NothingToCollect.selector, payout));
        vm.prank(payout);
        clearing.collect(payout);
        token.pause(true);
        settle(claim(payer, 1, 300));
        vm.expectRevert(abi.encodeWithSelector(IMystClearing.TransferFailed.selector, payout, 300));
        vm.prank(payout);
        clearing.collect(payout);
        assertEq(clearing.credits(payout), 300);
    }

    function test_MoneyNeverGoesNowhere() public {
        Promised[] memory claims = list(claim(payer, 1, 300));
        address[2] memory nowhere = [address(0), address(clearing)];
        for (uint256 i = 0; i < nowhere.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IMystClearing.RecipientInvalid.selector, nowhere[i]));
            vm.prank(provider.addr);
            clearing.settle(pack(claims), nowhere[i]);
        }
    }

    function test_TheDomainFollowsTheChain() public {
        Promised memory before = claim(payer, 1, 300);
        vm.chainId(block.chainid + 1);
        assertEq(settle(before), 0);
        assertEq(settle(claim(payer, 1, 300)), 300);
    }

    function test_AnotherContractsPromisesAreNotPaid() public {
        Promised memory c = claim(payer, 1, 300);
        clearing = new MystClearing(token);
        vm.prank(payer.addr);
        token.approve(address(clearing), type(uint256).max);
        open(payer, 1000, 100);
        assertEq(settle(c), 0);
        assertEq(settle(claim(payer, 1, 300)), 300);
    }

    function test_TheDomainIsToldToWhoAsks() public view {
        (, string memory name, string memory version, uint256 chainId, address home,,) = clearing.eip712Domain();
        assertEq(name, "MystClearing");
        assertEq(version, "1");
        assertEq(chainId, block.chainid);
        assertEq(home, address(clearing));
        assertEq(address(clearing.token()), address(token));
    }

    function test_AnEmptyBatchDoesNothing() public {
        assertEq(settle(new Promised[](0)), 0);
    }
}
