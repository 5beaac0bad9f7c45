// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";

/// @dev 255 bits leave room for few high s, which nobody meets by chance: with k = 1 and a wished-for s, the key is worked out.
library HighS {
    uint256 internal constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 internal constant GENERATOR_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798;

    /// @return key of whom this is a signature of the digest, valid but for its s
    function forge(bytes32 digest) internal view returns (uint256 key, IMystClearing.Signature memory signature) {
        uint256 s = ORDER / 2 + 1;
        key = mulmod(addmod(s, ORDER - uint256(digest) % ORDER, ORDER), inverse(uint256(GENERATOR_X)), ORDER);
        signature = IMystClearing.Signature(GENERATOR_X, bytes32(s));
    }

    function inverse(uint256 a) private view returns (uint256) {
        (, bytes memory out) = address(5).staticcall(abi.encode(32, 32, 32, a, ORDER - 2, ORDER));
        return abi.decode(out, (uint256));
    }
}
