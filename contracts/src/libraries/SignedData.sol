// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IMystClearing} from "../IMystClearing.sol";

/// @title What payers and providers sign, as EIP-712 has it
library SignedData {
    bytes32 internal constant PROMISE_TYPE =
        keccak256("Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq)");
    bytes32 internal constant CHECK_TYPE =
        keccak256("Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline)");
    bytes32 internal constant OPEN_TYPE = keccak256("Open(address owner)");
    /// @dev half the order of secp256k1, rounded down: of s and order - s, which sign alike, only the lower one counts
    uint256 private constant LARGEST_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant PARITY_BIT = 1 << 255;

    /// @notice What the payer has signed.
    /// @param separator the domain's separator
    /// @param channel the provider and the claim's salt, hashed
    function digest(IMystClearing.Claim calldata claim, bytes32 separator, bytes32 channel)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 kind = PROMISE_TYPE;
        uint256 content = uint256(claim.content);
        // by hand, as it is done for every claim: the encoder would cost 300 gas more and leave its memory behind
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, kind)
            mstore(add(m, 0x20), channel)
            mstore(add(m, 0x40), shr(160, content))
            mstore(add(m, 0x60), and(shr(64, content), 0xffffffffffffffffffffffff))
            mstore(add(m, 0x80), and(content, 0xffffffffffffffff))
            let message := keccak256(m, 0xa0)
            mstore(m, hex"1901")
            mstore(add(m, 0x02), separator)
            mstore(add(m, 0x22), message)
            hash := keccak256(m, 0x42)
        }
    }

    /// @notice What the provider has signed.
    /// @param promiseHash the digest of the promise
    function digest(IMystClearing.Check calldata check, bytes32 separator, bytes32 promiseHash)
        internal
        pure
        returns (bytes32)
    {
        return MessageHashUtils.toTypedDataHash(
            separator, keccak256(abi.encode(CHECK_TYPE, promiseHash, check.to, check.feeBps, check.deadline))
        );
    }

    /// @notice What a signer signs to say who owns its account.
    function openDigest(bytes32 separator, address owner) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(separator, keccak256(abi.encode(OPEN_TYPE, owner)));
    }

    /// @notice Whether `signer` signed it. The zero address never did.
    function isFrom(IMystClearing.Signature calldata signature, bytes32 hash, address signer)
        internal
        view
        returns (bool)
    {
        uint256 vs = uint256(signature.vs);
        uint256 s = vs & ~PARITY_BIT;
        if (s > LARGEST_S) return false;
        bytes32 r = signature.r;
        uint256 v;
        unchecked {
            v = 27 + (vs >> 255);
        }
        address recovered;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, hash)
            mstore(add(m, 0x20), v)
            mstore(add(m, 0x40), r)
            mstore(add(m, 0x60), s)
            // where there is no such key nothing is written, and what is here stays: zero
            mstore(0, 0)
            pop(staticcall(gas(), 1, m, 0x80, 0, 0x20))
            recovered := mload(0)
        }
        return recovered == signer && recovered != address(0);
    }

    /// @notice Whether a check says nothing at all.
    function isAbsent(IMystClearing.Signature calldata signature) internal pure returns (bool) {
        return signature.r == 0 && signature.vs == 0;
    }
}
