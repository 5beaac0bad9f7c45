// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev closeAt, 40 bits at 192; bond, 96 bits at 96; balance, 96 bits at 0. One word, so that paying a claim reads and writes one slot once.
type Funds is uint256;

using FundsLibrary for Funds global;

/// @title What an account holds, in one word
library FundsLibrary {
    /// @notice The word of these three.
    function pack(uint96 balance_, uint96 bond_, uint40 closeAt_) internal pure returns (Funds) {
        return Funds.wrap(uint256(closeAt_) << 192 | uint256(bond_) << 96 | balance_);
    }

    /// @notice These three of the word.
    // forge-lint: disable-next-item(unsafe-typecast)
    function unpack(Funds funds) internal pure returns (uint96 balance_, uint96 bond_, uint40 closeAt_) {
        uint256 word = Funds.unwrap(funds);
        return (uint96(word), uint96(word >> 96), uint40(word >> 192));
    }

    /// @notice What promises are paid from.
    // forge-lint: disable-next-item(unsafe-typecast)
    function balance(Funds funds) internal pure returns (uint96) {
        return uint96(Funds.unwrap(funds));
    }

    /// @notice The balance less by `amount`, which the caller has compared with it.
    function less(Funds funds, uint256 amount) internal pure returns (Funds) {
        unchecked {
            return Funds.wrap(Funds.unwrap(funds) - amount);
        }
    }
}
