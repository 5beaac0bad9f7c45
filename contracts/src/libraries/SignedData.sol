// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IMystClearing} from "../IMystClearing.sol";

/// @title What payers and providers sign, as EIP-712 has it
library SignedData {
    bytes32 internal constant PROMISE_TYPE =
        keccak256("Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq)");
    bytes32 internal constant CHECK_TYPE =
        keccak256("Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline)");
    bytes32 internal constant OPEN_TYPE = keccak256("Open(address owner)");

    /// @notice The channel of one provider under one salt.
    function channelOf(address provider, uint96 salt) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(provider, salt));
    }

    /// @notice What the payer has signed.
    /// @param separator the domain's separator
    function promiseDigest(bytes32 separator, IMystClearing.Claim calldata claim, bytes32 channel)
        internal
        pure
        returns (bytes32)
    {
        return MessageHashUtils.toTypedDataHash(
            separator, keccak256(abi.encode(PROMISE_TYPE, channel, claim.cumulative, claim.total, claim.seq))
        );
    }

    /// @notice What the provider has signed.
    /// @param promiseHash the digest of the promise
    function checkDigest(bytes32 separator, IMystClearing.Check calldata check, bytes32 promiseHash)
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
    function isFrom(IMystClearing.Signature calldata signature, bytes32 digest, address signer)
        internal
        pure
        returns (bool)
    {
        (address recovered, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature.r, signature.vs);
        return problem == ECDSA.RecoverError.NoError && recovered == signer;
    }

    /// @notice Whether a check says nothing at all.
    function isAbsent(IMystClearing.Signature calldata signature) internal pure returns (bool) {
        return signature.r == 0 && signature.vs == 0;
    }
}
