// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../IMystClearing.sol";

/// @title What is in the two packed words of a claim
library Claims {
    /// @notice Who has signed the promise.
    function signer(IMystClearing.Claim calldata claim) internal pure returns (address) {
        return address(bytes20(claim.payer));
    }

    /// @notice The channel's name: the provider and the claim's salt, hashed.
    function channel(IMystClearing.Claim calldata claim, address provider) internal pure returns (bytes32 hash) {
        bytes32 words = bytes32(bytes20(provider)) | bytes32(uint256(uint96(uint256(claim.payer))));
        assembly ("memory-safe") {
            mstore(0, words)
            hash := keccak256(0, 32)
        }
    }

    /// @notice All that was ever promised on this channel.
    function cumulative(IMystClearing.Claim calldata claim) internal pure returns (uint96) {
        return uint96(bytes12(claim.content));
    }

    /// @notice All that was ever promised by the signer.
    function total(IMystClearing.Claim calldata claim) internal pure returns (uint96) {
        return uint96(uint256(claim.content) >> 64);
    }
}
