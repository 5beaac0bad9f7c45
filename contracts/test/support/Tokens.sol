// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {TestToken} from "../../src/TestToken.sol";

/// @dev A token with what real ones have: it can be paused, freeze a payee, take a fee and call its sender.
contract FlakyToken is TestToken {
    mapping(address => bool) public frozen;
    bool public paused;
    bool public takesFee;
    address public hook;

    function freeze(address who, bool on) external {
        frozen[who] = on;
    }

    function pause(bool on) external {
        paused = on;
    }

    function takeFee(bool on) external {
        takesFee = on;
    }

    function callOnTransfer(address to) external {
        hook = to;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!paused && !frozen[to], "not now");
        if (hook != address(0) && from == hook) Caller(hook).called();
        bool fee = takesFee && from != address(0) && value > 0;
        super._update(from, to, fee ? value - 1 : value);
        if (fee) super._update(from, address(0xfee), 1);
    }
}

/// @dev Deposits again from within its own deposit.
contract Caller {
    IMystClearing private immutable CLEARING;
    address private immutable SIGNER;
    bool private inside;

    constructor(IMystClearing clearing, address signer) {
        CLEARING = clearing;
        SIGNER = signer;
    }

    function deposit(FlakyToken token, uint96 amount, IMystClearing.Signature calldata consent) external {
        token.approve(address(CLEARING), type(uint256).max);
        CLEARING.deposit(SIGNER, amount, 0, consent);
    }

    function called() external {
        if (inside) return;
        inside = true;
        CLEARING.deposit(SIGNER, 1, 0, IMystClearing.Signature(0, 0));
    }
}
