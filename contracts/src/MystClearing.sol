// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMystClearing} from "./IMystClearing.sol";
import {SignedData} from "./libraries/SignedData.sol";

/// @title MystClearing
/// @notice See IMystClearing.
contract MystClearing is IMystClearing, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SignedData for Signature;

    /// @notice How long promises can still be cleared after their payer has begun to close.
    uint40 public constant CLOSE_DELAY = 3 days;
    /// @notice A claim that bounces gets at most this part of the bond: one eighth. The rest burns.
    uint96 public constant BOND_SHARE = 8;
    uint256 private constant BPS = 10_000;

    /// @notice The only money here.
    IERC20 public immutable token;

    mapping(address signer => Account) private _accounts;

    /// @dev A struct, so that one storage pointer serves the read and the write.
    struct Channel {
        uint96 paid;
    }
    mapping(address signer => mapping(bytes32 channel => Channel)) private _channels;
    /// @inheritdoc IMystClearing
    mapping(address to => uint256) public credits;
    /// @inheritdoc IMystClearing
    uint256 public burned;

    constructor(IERC20 token_) EIP712("MystClearing", "1") {
        if (address(token_).code.length == 0) revert TokenMissing(address(token_));
        token = token_;
    }

    /// @inheritdoc IMystClearing
    function account(address signer) external view returns (Account memory) {
        return _accounts[signer];
    }

    /// @inheritdoc IMystClearing
    function paid(address signer, bytes32 channel) external view returns (uint96) {
        return _channels[signer][channel].paid;
    }

    /// @inheritdoc IMystClearing
    function deposit(address signer, uint96 amount, uint96 bond, Signature calldata consent) external nonReentrant {
        _deposit(signer, amount, bond, consent);
    }

    /// @inheritdoc IMystClearing
    function depositWithPermit(
        address signer,
        uint96 amount,
        uint96 bond,
        Signature calldata consent,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        uint256 sum = uint256(amount) + bond;
        try IERC20Permit(address(token)).permit(msg.sender, address(this), sum, permitDeadline, v, r, s) {} catch {}
        _deposit(signer, amount, bond, consent);
    }

    /// @inheritdoc IMystClearing
    function settle(Claim[] calldata claims, address to) external returns (uint256 sum) {
        bytes32 separator = _domainSeparatorV4();
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata claim = claims[i];
            bytes32 channel = SignedData.channelOf(msg.sender, claim.salt);
            sum += _take(claim, channel, SignedData.promiseDigest(separator, claim, channel));
        }
        _pay(to, sum);
    }

    /// @inheritdoc IMystClearing
    function clear(Claim[] calldata claims, Check[] calldata checks) external returns (uint256 fees) {
        if (claims.length != checks.length) revert LengthMismatch(claims.length, checks.length);
        bytes32 separator = _domainSeparatorV4();
        for (uint256 i = 0; i < claims.length; ++i) {
            fees += _clear(separator, claims[i], checks[i]);
        }
        _pay(msg.sender, fees);
    }

    /// @inheritdoc IMystClearing
    function collect(address to) external returns (uint256 amount) {
        _requireRecipient(to);
        amount = credits[msg.sender];
        if (amount == 0) revert NothingToCollect(msg.sender);
        credits[msg.sender] = 0;
        if (!token.trySafeTransfer(to, amount)) revert TransferFailed(to, amount);
    }

    /// @inheritdoc IMystClearing
    function close(address signer) external {
        Account storage a = _accounts[signer];
        if (a.owner != msg.sender) revert NotOwner(signer, msg.sender);
        if (a.closeAt != 0) revert AccountClosing(signer, a.closeAt);
        a.closeAt = uint40(block.timestamp) + CLOSE_DELAY;
        emit Closing(signer, a.closeAt);
    }

    /// @inheritdoc IMystClearing
    function withdraw(address signer, address to) external returns (uint256 amount) {
        Account storage a = _accounts[signer];
        if (a.owner != msg.sender) revert NotOwner(signer, msg.sender);
        if (a.closeAt == 0 || block.timestamp < a.closeAt) revert TooEarly(signer, a.closeAt);
        amount = uint256(a.balance) + a.bond;
        // closeAt stays: a signer that has closed is never used again
        (a.balance, a.bond) = (0, 0);
        emit Withdrawn(signer, to, amount);
        _pay(to, amount);
    }

    /// @dev The guard above it matters: a token that calls back could otherwise count one transfer for two deposits.
    function _deposit(address signer, uint96 amount, uint96 bond, Signature calldata consent) private {
        Account storage a = _accounts[signer];
        if (a.owner == address(0)) {
            bytes32 digest = SignedData.openDigest(_domainSeparatorV4(), msg.sender);
            if (!consent.isFrom(digest, signer)) revert ConsentInvalid(signer, msg.sender);
            a.owner = msg.sender;
        } else if (a.owner != msg.sender) {
            revert NotOwner(signer, msg.sender);
        }
        if (a.closeAt != 0) revert AccountClosing(signer, a.closeAt);
        a.line += amount;
        a.balance += amount;
        a.bond += bond;
        emit Deposited(signer, msg.sender, amount, bond, a.line);
        _receive(uint256(amount) + bond);
    }

    /// @dev What was not received cannot be owed.
    function _receive(uint256 sum) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), sum);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received < sum) revert ReceivedLess(sum, received);
    }

    /// @dev One claim of a batch by anybody. The check is verified before any effect.
    function _clear(bytes32 separator, Claim calldata claim, Check calldata check) private returns (uint256 fee) {
        bytes32 channel = SignedData.channelOf(check.provider, claim.salt);
        bytes32 digest = SignedData.promiseDigest(separator, claim, channel);
        if (check.signature.isAbsent()) {
            _credit(check.provider, _take(claim, channel, digest));
            return 0;
        }
        if (check.feeBps > BPS || block.timestamp > check.deadline) return 0;
        bytes32 checkDigest = SignedData.checkDigest(separator, check, digest);
        if (!check.signature.isFrom(checkDigest, check.provider)) return 0;
        uint256 pay = _take(claim, channel, digest);
        fee = pay * check.feeBps / BPS;
        _credit(check.to, pay - fee);
    }

    /// @dev Takes from the payer what the claim is good for and not yet paid, as far as its balance goes.
    /// @return pay 0 for a claim that is not good; the caller must pass it on
    function _take(Claim calldata claim, bytes32 channel, bytes32 digest) private returns (uint96 pay) {
        address signer = claim.signer;
        uint96 cumulative = claim.cumulative;
        Channel storage c = _channels[signer][channel];
        uint96 before = c.paid;
        if (cumulative <= before || !claim.signature.isFrom(digest, signer)) return 0;
        Account storage a = _accounts[signer];
        uint96 balance = a.balance;
        unchecked {
            pay = cumulative - before;
            if (pay > balance) return _bounce(claim, channel, pay);
            c.paid = cumulative;
            a.balance = balance - pay;
        }
        emit Cleared(signer, channel, cumulative, claim.total, claim.seq, pay);
    }

    /// @dev The balance does not hold what is owed. With `total <= line` the payer has lied in writing: truthful totals up to the
    /// line are covered by it. The bond is then gone; an eighth of it at most goes to the claim, since all of it would go back to a
    /// cheat by way of a payee of its own, and without any nobody would pay for the transaction.
    function _bounce(Claim calldata claim, bytes32 channel, uint96 owed) private returns (uint96 pay) {
        Account storage a = _accounts[claim.signer];
        (uint96 balance, uint96 bond) = (a.balance, a.bond);
        bool lied = bond > 0 && claim.total <= a.line;
        unchecked {
            uint96 short = owed - balance;
            uint96 fromBond = lied ? _min(short, bond / BOND_SHARE) : 0;
            pay = balance + fromBond;
            _channels[claim.signer][channel].paid += pay;
            a.balance = 0;
            emit Cleared(claim.signer, channel, claim.cumulative, claim.total, claim.seq, pay);
            emit Bounced(claim.signer, channel, short);
            if (!lied) return pay;
            a.bond = 0;
            burned += bond - fromBond;
            emit BondBurned(claim.signer, channel, fromBond, bond - fromBond);
        }
    }

    function _min(uint96 a, uint96 b) private pure returns (uint96) {
        return a < b ? a : b;
    }

    /// @dev Pays now, or keeps it as a credit: a frozen payee or a paused token holds up nobody else.
    function _pay(address to, uint256 amount) private {
        _requireRecipient(to);
        if (amount > 0 && !token.trySafeTransfer(to, amount)) _credit(to, amount);
    }

    function _credit(address to, uint256 amount) private {
        if (amount == 0) return;
        credits[to] += amount;
        emit Credited(to, amount);
    }

    function _requireRecipient(address to) private view {
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
    }
}
