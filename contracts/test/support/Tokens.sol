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
        require(!paused && !frozen[from] && !frozen[to], "not now");
        bool fee = takesFee && from != address(0) && value > 0;
        super._update(from, to, fee ? value - 1 : value);
        if (fee) super._update(from, address(0xfee), 1);
        if (hook != address(0) && (from == hook || to == hook)) ICalled(hook).called();
    }
}

interface ICalled {
    /// @dev Called in the middle of a transfer from or to it.
    function called() external;
}

/// @dev As some of the oldest tokens are: nothing is returned, and what fails reverts.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev What fails here does not revert: it returns false.
contract FalseToken {
    mapping(address => uint256) public balanceOf;
    bool public fails;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function fail(bool on) external {
        fails = on;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        return move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private returns (bool) {
        if (fails) return false;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// @dev Whatever it is told to call, it calls from within a transfer of the token to or from it; once.
contract Reenterer is ICalled {
    address private target;
    bytes private data;
    bool private armed;
    bool public succeeded;
    bytes public answer;

    function arm(address target_, bytes calldata data_) external {
        (target, data, armed) = (target_, data_, true);
    }

    function run(address to, bytes calldata call) external returns (bytes memory) {
        (bool ok, bytes memory out) = to.call(call);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(out, 0x20), mload(out))
            }
        }
        return out;
    }

    function called() external {
        if (!armed) return;
        armed = false;
        (succeeded, answer) = target.call(data);
    }
}

/// @dev Deposits again from within its own deposit.
contract Caller is ICalled {
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
