// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {StdInvariant} from "forge-std/StdInvariant.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {Test} from "../support/Test.sol";
import {FlakyToken} from "../support/Tokens.sol";
import {Forgeries} from "./Forgeries.sol";
import {Handler} from "./Handler.sol";

/// @dev What holds whatever anybody does. CLEARING names another build of the contract, to see that it is caught.
contract InvariantTest is StdInvariant, Test {
    Handler private handler;

    function setUp() public {
        FlakyToken token = new FlakyToken();
        string memory build = vm.envOr("CLEARING", string("MystClearing.sol:MystClearing"));
        MystClearing clearing = MystClearing(deployCode(build, abi.encode(token)));
        handler = new Handler(token, clearing);
        // drawn as often as named
        bytes4[24] memory drawn = [
            Handler.owe.selector,
            Handler.owe.selector,
            Handler.owe.selector,
            Handler.owe.selector,
            Handler.settle.selector,
            Handler.settle.selector,
            Handler.settle.selector,
            Handler.clear.selector,
            Handler.clear.selector,
            Handler.clear.selector,
            Handler.cheat.selector,
            Handler.cheat.selector,
            Handler.deposit.selector,
            Handler.collect.selector,
            Handler.collect.selector,
            Handler.close.selector,
            Handler.withdraw.selector,
            Handler.withdraw.selector,
            Handler.pause.selector,
            Handler.pause.selector,
            Forgeries.forgeClaim.selector,
            Forgeries.forgeHighS.selector,
            Forgeries.forgeCheck.selector,
            Forgeries.intrude.selector
        ];
        bytes4[] memory selectors = new bytes4[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            selectors[i] = drawn[i];
        }
        targetSelector(FuzzSelector(address(handler), selectors));
        targetContract(address(handler));
    }

    /// @dev One campaign for all of them: a campaign each would try the very same sequences eight times.
    function invariant_TheRulesHold() public {
        handler.look();
        assertEq(handler.held(), handler.owed(), "1. token balance = sum(balance + bond + credits) + burned");
        holds(1, "1. a credit is collected once and whole");
        holds(2, "2. paid never falls nor exceeds what was signed, and money goes where the signed data says");
        holds(3, "3. an honest account is never slashed and is always paid in full; its line is all deposits ever made");
        holds(4, "4. nobody but the owner, and it once, moves a close or the account");
        holds(5, "5. nothing leaves before the close but signed claims");
        holds(6, "6. a claim twice is a claim once");
        holds(7, "7. a batch is its claims in sequence");
        holds(8, "8. at least 7/8 of the bond burns on a bounce within the line, and on nothing else");
    }

    function holds(uint256 number, string memory rule) private view {
        assertEq(handler.broken(number), "", rule);
    }

    /// @dev After each run: one that reached none of these would prove nothing. One that has missed some by chance goes on for a while.
    function afterInvariant() public {
        string memory missed = missing();
        for (uint256 i = 0; i < 64 && bytes(missed).length > 0; ++i) {
            goOn(uint256(keccak256(abi.encode(i))));
            missed = missing();
        }
        assertEq(missed, "", "never reached");
        invariant_TheRulesHold();
    }

    function missing() private view returns (string memory) {
        string[9] memory worth =
            ["slash", "bounce without a slash", "clear", "check", "credit", "paused", "close", "withdraw", "forgery"];
        for (uint256 i = 0; i < worth.length; ++i) {
            if (handler.reached(worth[i]) == 0) return worth[i];
        }
        return "";
    }

    /// @dev One more of everything.
    function goOn(uint256 draw) private {
        handler.deposit(draw, uint96(draw >> 8), uint96(draw >> 16));
        handler.owe(draw, draw >> 8, uint96(draw >> 16), uint96(draw >> 24));
        handler.clear(draw, uint16(draw >> 8), uint40(draw >> 16));
        handler.cheat(draw, draw >> 8, uint96(draw >> 16));
        handler.pause(draw, draw >> 8, draw >> 16 & 1 == 1);
        handler.close(draw, draw >> 8);
        handler.withdraw(draw, draw >> 8);
        handler.forgeClaim(draw, draw >> 8);
    }
}
