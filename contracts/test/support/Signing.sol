// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {FlakyToken} from "./Tokens.sol";
import {Test} from "./Test.sol";

/// @dev A claim taken apart, so that tests can change one thing of it.
struct Promised {
    address signer;
    uint96 salt;
    uint96 cumulative;
    uint96 total;
    uint64 seq;
    IMystClearing.Signature signature;
}

/// @dev The means to sign. Digests are worked out here once more, apart from the contract's code.
abstract contract Signing is Test {
    struct Person {
        address addr;
        uint256 key;
    }

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    FlakyToken internal token;
    MystClearing internal clearing;

    function person(string memory name) internal returns (Person memory p) {
        (p.addr, p.key) = makeAddrAndKey(name);
    }

    function fund(address who) internal {
        token.mint(who, type(uint96).max);
        vm.prank(who);
        token.approve(address(clearing), type(uint256).max);
    }

    function separator() internal view returns (bytes32) {
        return
            keccak256(
                abi.encode(DOMAIN_TYPE, keccak256("MystClearing"), keccak256("1"), block.chainid, address(clearing))
            );
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(bytes.concat(hex"1901", separator(), structHash));
    }

    function signed(Person memory p, bytes32 digest) internal pure returns (IMystClearing.Signature memory s) {
        (s.r, s.vs) = vm.signCompact(p.key, digest);
    }

    function consentOf(Person memory p, address owner) internal view returns (IMystClearing.Signature memory) {
        return signed(p, digestOf(keccak256(abi.encode(keccak256("Open(address owner)"), owner))));
    }

    function channelOf(address to, uint96 salt) internal pure returns (bytes32) {
        return keccak256(bytes.concat(bytes20(to), bytes12(salt)));
    }

    function promiseDigest(address to, Promised memory c) internal view returns (bytes32) {
        bytes32 kind = keccak256("Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq)");
        return digestOf(keccak256(abi.encode(kind, channelOf(to, c.salt), c.cumulative, c.total, c.seq)));
    }

    function checkDigest(bytes32 promiseHash, address to, uint16 feeBps, uint40 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind = keccak256("Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline)");
        return digestOf(keccak256(abi.encode(kind, promiseHash, to, feeBps, deadline)));
    }

    function pack(Promised memory c) internal pure returns (IMystClearing.Claim memory) {
        bytes32 who = bytes32(bytes.concat(bytes20(c.signer), bytes12(c.salt)));
        // a copy, so that one can be spoilt without the other
        IMystClearing.Signature memory signature = IMystClearing.Signature(c.signature.r, c.signature.vs);
        return IMystClearing.Claim(who, content(c.cumulative, c.total, c.seq), signature);
    }

    function content(uint96 cumulative, uint96 total, uint64 seq) internal pure returns (bytes32) {
        return bytes32(bytes.concat(bytes12(cumulative), bytes12(total), bytes8(seq)));
    }

    function pack(Promised[] memory list_) internal pure returns (IMystClearing.Claim[] memory claims) {
        claims = new IMystClearing.Claim[](list_.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            claims[i] = pack(list_[i]);
        }
    }
}
