// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {MystClearing} from "../src/MystClearing.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";

/// @dev contracts/vectors/eip712.json is made with viem; the TypeScript side reads the same file.
contract VectorsTest is Fixture {
    string private json;
    address private signer;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("contracts/vectors/eip712.json");
        payer.key = vm.parseJsonUint(json, ".keys.signer");
        payer.addr = vm.addr(payer.key);
        provider.key = vm.parseJsonUint(json, ".keys.provider");
        provider.addr = vm.addr(provider.key);
        fund(payer.addr);
    }

    function test_PeopleAreTheKeys() public view {
        assertEq(payer.addr, vm.parseJsonAddress(json, ".signer"));
        assertEq(provider.addr, vm.parseJsonAddress(json, ".provider"));
    }

    function test_FirstDomain() public {
        allOf(".domains[0]");
    }

    function test_SecondDomain() public {
        allOf(".domains[1]");
    }

    /// @dev Every vector must be ours to the byte, and good for the contract.
    function allOf(string memory path) private {
        vm.chainId(vm.parseJsonUint(json, string.concat(path, ".chainId")));
        address home = vm.parseJsonAddress(json, string.concat(path, ".contract"));
        deployCodeTo("MystClearing.sol:MystClearing", abi.encode(token), home);
        clearing = MystClearing(home);
        vm.prank(payer.addr);
        token.approve(home, type(uint256).max);
        assertEq(separator(), vm.parseJsonBytes32(json, string.concat(path, ".separator")), "separator");
        openIs(string.concat(path, ".open"));
        open(payer, type(uint96).max, 0);
        for (uint256 i = 0; i < 3; ++i) {
            string memory n = vm.toString(i);
            bothAre(string.concat(path, ".promises[", n, "]"), string.concat(path, ".checks[", n, "]"));
        }
        for (uint256 i = 0; i < 2; ++i) {
            termsAre(string.concat(path, ".terms[", vm.toString(i), "]"));
        }
    }

    function openIs(string memory path) private view {
        address owner = vm.parseJsonAddress(json, string.concat(path, ".owner"));
        same(consentOf(payer, owner), string.concat(path, ".signature"));
    }

    function bothAre(string memory path, string memory checkAt) private {
        Promised memory c = Promised({
            signer: payer.addr,
            salt: uint96(number(path, ".salt")),
            cumulative: uint96(number(path, ".cumulative")),
            total: uint96(number(path, ".total")),
            seq: uint64(number(path, ".seq")),
            signature: read(string.concat(path, ".signature"))
        });
        bytes32 channel = vm.parseJsonBytes32(json, string.concat(path, ".channel"));
        assertEq(channelOf(provider.addr, c.salt), channel, "channel");
        assertEq(promiseDigest(provider.addr, c), vm.parseJsonBytes32(json, string.concat(path, ".digest")), "promise");
        assertEq(pack(c).payer, vm.parseJsonBytes32(json, string.concat(path, ".payer")), "claim: payer");
        assertEq(pack(c).content, vm.parseJsonBytes32(json, string.concat(path, ".content")), "claim: content");
        payout = vm.parseJsonAddress(json, string.concat(checkAt, ".to"));
        IMystClearing.Check memory k =
            check(c, uint16(number(checkAt, ".feeBps")), uint40(number(checkAt, ".deadline")));
        same(k.signature, string.concat(checkAt, ".signature"));
        if (k.deadline == 0) assertEq(settle(c), c.cumulative, "settled");
        else clear(c, k);
        // later ones are on other channels; the last asks for more than is left, and gets that
        assertEq(clearing.account(payer.addr).balance == 0, c.cumulative == type(uint96).max, "balance");
        assertGt(clearing.paid(payer.addr, channel), 0, "paid");
    }

    function termsAre(string memory path) private view {
        bytes32 kind = keccak256(
            "Terms(bytes32 session,address signer,bytes32 channel,uint96 perHour,uint96 perGiB,uint96 quantum,uint64 validUntil)"
        );
        bytes32 hash = keccak256(
            abi.encode(
                kind,
                vm.parseJsonBytes32(json, string.concat(path, ".session")),
                vm.parseJsonAddress(json, string.concat(path, ".signer")),
                vm.parseJsonBytes32(json, string.concat(path, ".channel")),
                number(path, ".perHour"),
                number(path, ".perGiB"),
                number(path, ".quantum"),
                number(path, ".validUntil")
            )
        );
        assertEq(digestOf(hash), vm.parseJsonBytes32(json, string.concat(path, ".digest")), "terms");
        same(signed(provider, digestOf(hash)), string.concat(path, ".signature"));
    }

    function number(string memory path, string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(path, key));
    }

    function read(string memory path) private view returns (IMystClearing.Signature memory s) {
        (s.r, s.vs) = abi.decode(vm.parseJsonBytes(json, path), (bytes32, bytes32));
    }

    function same(IMystClearing.Signature memory s, string memory path) private view {
        assertEq(bytes.concat(s.r, s.vs), vm.parseJsonBytes(json, path), path);
    }
}
