// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Payment channels as they are usually written, to measure ours beside
/// @notice A deposit for each payee; signed cumulative amounts; each claim is a transaction of its own and pays at once.
contract PlainChannels is EIP712 {
    using SafeERC20 for IERC20;

    bytes32 private constant PROMISE_TYPE = keccak256("Promise(address payee,uint256 cumulative)");

    struct Channel {
        uint128 deposit;
        uint128 paid;
    }

    IERC20 public immutable token;
    mapping(address payer => mapping(address payee => Channel)) public channels;

    event Opened(address indexed payer, address indexed payee, uint256 deposit);
    event Claimed(address indexed payer, address indexed payee, uint256 cumulative, uint256 paid);

    error SignatureInvalid();
    error NothingToClaim();

    constructor(IERC20 token_) EIP712("PlainChannels", "1") {
        token = token_;
    }

    function open(address payee, uint128 amount) external {
        Channel storage channel = channels[msg.sender][payee];
        channel.deposit += amount;
        emit Opened(msg.sender, payee, channel.deposit);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function claim(address payer, uint128 cumulative, bytes calldata signature) external {
        Channel storage channel = channels[payer][msg.sender];
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(PROMISE_TYPE, msg.sender, cumulative)));
        if (ECDSA.recover(digest, signature) != payer) revert SignatureInvalid();
        uint128 good = cumulative < channel.deposit ? cumulative : channel.deposit;
        uint128 paid = channel.paid;
        if (good <= paid) revert NothingToClaim();
        channel.paid = good;
        emit Claimed(payer, msg.sender, cumulative, good - paid);
        token.safeTransfer(msg.sender, good - paid);
    }
}
