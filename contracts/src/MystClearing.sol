// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMystClearing} from "./IMystClearing.sol";
import {Claims} from "./libraries/Claims.sol";
import {Funds, FundsLibrary} from "./libraries/Funds.sol";
import {SignedData} from "./libraries/SignedData.sol";

/// @title MystClearing
/// @notice See IMystClearing.
contract MystClearing is IMystClearing, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Claims for Claim;
    using SignedData for Claim;
    using SignedData for Check;
    using SignedData for Signature;

    /// @notice How long promises can still be cleared after their payer has begun to close.
    uint40 public constant CLOSE_DELAY = 3 days;
    /// @notice A claim that bounces gets at most this part of the bond: one eighth. The rest burns.
    uint96 public constant BOND_SHARE = 8;
    uint256 private constant BPS = 10_000;

    /// @notice The only money here.
    IERC20 public immutable token;

    /// @dev Account as it is stored: in two slots, of which a claim that is covered touches the second only.
    struct Held {
        address owner;
        uint96 line;
        Funds funds;
    }
    mapping(address signer => Held) private _accounts;

    /// @dev A struct, so that one storage pointer serves the read and the write; a whole word, so that writing it needs no read.
    struct Channel {
        uint256 paid;
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
        Held storage a = _accounts[signer];
        (uint96 balance, uint96 bond, uint40 closeAt) = a.funds.unpack();
        return Account(a.owner, a.line, balance, bond, closeAt);
    }

    /// @inheritdoc IMystClearing
    function paid(address signer, bytes32 channel) external view returns (uint96) {
        return uint96(_channels[signer][channel].paid);
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
            unchecked {
                // no more than all deposits, each of which is 96 bits wide
                sum += _take(separator, claims[i], msg.sender);
            }
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
        Held storage a = _owned(signer);
        (uint96 balance, uint96 bond, uint40 closeAt) = a.funds.unpack();
        if (closeAt != 0) revert AccountClosing(signer, closeAt);
        closeAt = uint40(block.timestamp) + CLOSE_DELAY;
        a.funds = FundsLibrary.pack(balance, bond, closeAt);
        emit Closing(signer, closeAt);
    }

    /// @inheritdoc IMystClearing
    function withdraw(address signer, address to) external returns (uint256 amount) {
        Held storage a = _owned(signer);
        (uint96 balance, uint96 bond, uint40 closeAt) = a.funds.unpack();
        if (closeAt == 0 || block.timestamp < closeAt) revert TooEarly(signer, closeAt);
        amount = uint256(balance) + bond;
        // closeAt stays: a signer that has closed is never used again
        a.funds = FundsLibrary.pack(0, 0, closeAt);
        emit Withdrawn(signer, to, amount);
        _pay(to, amount);
    }

    /// @dev The account, if it is the caller's.
    function _owned(address signer) private view returns (Held storage a) {
        a = _accounts[signer];
        if (a.owner != msg.sender) revert NotOwner(signer, msg.sender);
    }

    /// @dev The guard above it matters: a token that calls back could otherwise count one transfer for two deposits.
    function _deposit(address signer, uint96 amount, uint96 bond, Signature calldata consent) private {
        Held storage a = _accounts[signer];
        if (a.owner == address(0)) {
            bytes32 digest = SignedData.openDigest(_domainSeparatorV4(), msg.sender);
            if (!consent.isFrom(digest, signer)) revert ConsentInvalid(signer, msg.sender);
            a.owner = msg.sender;
        } else if (a.owner != msg.sender) {
            revert NotOwner(signer, msg.sender);
        }
        (uint96 balance, uint96 bonded, uint40 closeAt) = a.funds.unpack();
        if (closeAt != 0) revert AccountClosing(signer, closeAt);
        a.line += amount;
        a.funds = FundsLibrary.pack(balance + amount, bonded + bond, 0);
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
        if (check.signature.isAbsent()) {
            _credit(check.provider, _take(separator, claim, check.provider));
            return 0;
        }
        if (check.feeBps > BPS || block.timestamp > check.deadline || _isNowhere(check.to)) return 0;
        bytes32 promiseHash = claim.digest(separator, claim.channel(check.provider));
        if (!check.signature.isFrom(check.digest(separator, promiseHash), check.provider)) return 0;
        uint256 pay = _take(separator, claim, check.provider);
        fee = pay * check.feeBps / BPS;
        _credit(check.to, pay - fee);
    }

    /// @dev Takes from the payer what the claim is good for and not yet paid, as far as its balance goes.
    /// @return pay 0 for a claim that is not good; the caller must pass it on
    function _take(bytes32 separator, Claim calldata claim, address provider) private returns (uint256 pay) {
        address signer = claim.signer();
        bytes32 name = claim.channel(provider);
        Channel storage channel = _channels[signer][name];
        uint256 before = channel.paid;
        uint256 cumulative = claim.cumulative();
        if (cumulative <= before || !claim.signature.isFrom(claim.digest(separator, name), signer)) return 0;
        Held storage a = _accounts[signer];
        Funds funds = a.funds;
        unchecked {
            pay = cumulative - before;
        }
        if (pay > funds.balance()) return _bounce(claim, name, a, channel);
        a.funds = funds.less(pay);
        channel.paid = cumulative;
        // no more than the balance
        // forge-lint: disable-next-line(unsafe-typecast)
        emit Cleared(signer, name, claim.content, uint96(pay));
    }

    /// @dev The balance does not hold what is owed. With `total <= line` the payer has lied in writing: truthful totals up to the
    /// line are covered by it. The bond is then gone; an eighth of it at most goes to the claim, since all of it would go back to a
    /// cheat by way of a payee of its own, and without any nobody would pay for the transaction.
    // all casts are of what is no more than cumulative or bond
    // forge-lint: disable-next-item(unsafe-typecast)
    function _bounce(Claim calldata claim, bytes32 name, Held storage a, Channel storage channel)
        private
        returns (uint256 pay)
    {
        address signer = claim.signer();
        (uint96 balance, uint96 bond, uint40 closeAt) = a.funds.unpack();
        bool lied = bond > 0 && claim.total() <= a.line;
        unchecked {
            // paid < cumulative, and the balance is less than the difference
            uint256 short = claim.cumulative() - channel.paid - balance;
            uint256 fromBond;
            if (lied) fromBond = short < bond / BOND_SHARE ? short : bond / BOND_SHARE;
            pay = balance + fromBond;
            channel.paid += pay;
            a.funds = FundsLibrary.pack(0, lied ? 0 : bond, closeAt);
            emit Cleared(signer, name, claim.content, uint96(pay));
            emit Bounced(signer, name, uint96(short));
            if (!lied) return pay;
            burned += bond - fromBond;
            emit BondBurned(signer, name, uint96(fromBond), uint96(bond - fromBond));
        }
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
        if (_isNowhere(to)) revert RecipientInvalid(to);
    }

    /// @dev From where nobody would ever take it out.
    function _isNowhere(address to) private view returns (bool) {
        return to == address(0) || to == address(this);
    }
}
