// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Money for devnets
/// @notice Anybody may make any amount of it, so it is worth nothing: never use it where promises should be worth something.
contract TestToken is ERC20Permit {
    constructor() ERC20("Test MYST", "MYST") ERC20Permit("Test MYST") {}

    /// @notice Makes `amount` base units (18 decimals) for `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
