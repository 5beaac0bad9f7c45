// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TestBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

/// @dev forge-std without its console, which drowns a build with this compiler in warnings.
abstract contract Test is TestBase, StdAssertions, StdCheats, StdUtils {
    bool public constant IS_TEST = true;
}
