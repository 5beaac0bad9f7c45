// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Deposits, promises and their clearing
/// @notice A payer deposits once and promises from it, off chain, to any number of providers. Providers turn promises into money.
/// Nobody owns this contract, stops it or changes it. Amounts are base units of the one token; times are seconds since the epoch.
interface IMystClearing {
    /// @notice The one encoding of a signature: r, then s with the parity of y in its top bit (ERC-2098); only a low s is valid.
    struct Signature {
        bytes32 r;
        bytes32 vs;
    }

    /// @notice A promise as its payer signed it, with the salt that shows whose channel it is on; packed, since calldata and logs are paid by the byte.
    /// @param payer signer, 20 bytes, who signed Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq); then the
    /// salt, 12 bytes: channel = keccak256(abi.encodePacked(provider, salt))
    /// @param content cumulative, 12 bytes: all that was ever promised on this channel; total, 12 bytes: all that was ever promised
    /// by this signer to anybody; seq, 8 bytes: never used by the signer for two contents
    struct Claim {
        bytes32 payer;
        bytes32 content;
        Signature signature;
    }

    /// @notice A provider's consent that anybody submits one promise for a fee. With r = vs = 0 it is no consent: the provider
    /// is credited in full, and `to`, `feeBps` and `deadline` mean nothing.
    /// @param provider who signed Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline), where promiseHash is the
    /// EIP-712 digest of the promise
    /// @param to who is credited what remains after the fee; neither zero nor this contract
    /// @param feeBps the submitter's part, in 1/10,000
    /// @param deadline the last second at which it may be submitted
    struct Check {
        address provider;
        address to;
        uint16 feeBps;
        uint40 deadline;
        Signature signature;
    }

    /// @param owner who deposits, closes and is given back what is left; named once, with the signer's consent
    /// @param line all deposits ever made, without bonds; it never falls
    /// @param balance what promises are paid from
    /// @param bond what stands for the truth of promises, and burns when one that said `total <= line` bounces
    /// @param closeAt when the owner may withdraw; 0 while the account is not closing
    struct Account {
        address owner;
        uint96 line;
        uint96 balance;
        uint96 bond;
        uint40 closeAt;
    }

    /// @notice Emitted with every deposit.
    /// @param amount by which balance and line rose
    /// @param bond by which the bond rose
    /// @param line as it is now
    event Deposited(address indexed signer, address indexed owner, uint96 amount, uint96 bond, uint96 line);
    /// @notice Emitted for every claim that was good and not yet paid in full.
    /// @param content cumulative, total and seq, as in the claim
    /// @param paid what it was paid just now: the submitter's fee and what came from the bond are included
    event Cleared(address indexed signer, bytes32 indexed channel, bytes32 content, uint96 paid);
    /// @notice Emitted after Cleared when the balance did not hold what the claim was good for.
    /// @param short what the balance lacked
    event Bounced(address indexed signer, bytes32 indexed channel, uint96 short);
    /// @notice Emitted after Bounced when the claim said `total <= line` and there was a bond: it is gone.
    /// @param paid what the claim got of it: what it was short of, and at most an eighth
    /// @param burned what stays in the contract for good
    event BondBurned(address indexed signer, bytes32 indexed channel, uint96 paid, uint96 burned);
    /// @notice Emitted when an amount is kept for `to` to collect.
    event Credited(address indexed to, uint256 amount);
    /// @notice Emitted when the owner begins the close.
    event Closing(address indexed signer, uint40 closeAt);
    /// @notice Emitted when the owner takes out what is left.
    /// @param amount balance and bond together
    event Withdrawn(address indexed signer, address indexed to, uint256 amount);

    /// @notice Thrown when the token's address holds no contract.
    error TokenMissing(address token);
    /// @notice Thrown when the consent is not the signer's to this owner.
    error ConsentInvalid(address signer, address owner);
    /// @notice Thrown when somebody else than the owner deposits, closes or withdraws.
    error NotOwner(address signer, address caller);
    /// @notice Thrown when the account is closing: it takes no deposit and no second close.
    error AccountClosing(address signer, uint40 closeAt);
    /// @notice Thrown when the close has not begun or its delay is not over.
    error TooEarly(address signer, uint40 closeAt);
    /// @notice Thrown when the token delivered less than was sent, as one with a fee on transfers does.
    error ReceivedLess(uint256 sent, uint256 received);
    /// @notice Thrown when there is not one check for each claim.
    error LengthMismatch(uint256 claims, uint256 checks);
    /// @notice Thrown when money would go to the zero address or to this contract.
    error RecipientInvalid(address to);
    /// @notice Thrown when the caller has no credit.
    error NothingToCollect(address caller);
    /// @notice Thrown when the token does not take the transfer of a credit.
    error TransferFailed(address to, uint256 amount);

    /// @notice Raises an account; the first deposit opens it with the caller as its owner. Emits Deposited.
    /// @dev Reverts with ConsentInvalid, NotOwner, AccountClosing or ReceivedLess. The token must be approved for amount + bond.
    /// @param signer whose promises it stands for
    /// @param amount by which balance and line rise
    /// @param bond by which the bond rises
    /// @param consent the signer's signature over Open(address owner) with the caller as the owner; read at the first deposit only
    function deposit(address signer, uint96 amount, uint96 bond, Signature calldata consent) external;

    /// @notice The same with an ERC-2612 permit for amount + bond instead of an approval.
    /// @dev A permit that somebody else has used up already does no harm: its allowance is there. Reverts as deposit does, and as the
    /// token does where neither permit nor approval is good.
    /// @param signer as for deposit
    /// @param amount as for deposit
    /// @param bond as for deposit
    /// @param consent as for deposit
    /// @param permitDeadline the permit's last second
    /// @param v of the permit's signature by the caller, as ERC-2612 has it
    /// @param r of the same
    /// @param s of the same
    function depositWithPermit(
        address signer,
        uint96 amount,
        uint96 bond,
        Signature calldata consent,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Pays the caller's own claims in one transfer, each as if it came alone and in this order. Emits Cleared for each that
    /// is good, and Bounced and BondBurned where it is so; skips the others.
    /// @dev Reverts with RecipientInvalid only. A transfer that fails becomes a credit of `to`.
    /// @param claims on channels of the caller
    /// @param to who is paid, or credited if the token does not let it through
    /// @return sum what was paid for all of them
    function settle(Claim[] calldata claims, address to) external returns (uint256 sum);

    /// @notice Credits providers for their claims, whoever submits them; the caller is paid the fees that their checks allow.
    /// @dev Reverts with LengthMismatch only. A claim whose check is signed wrongly, too late or for a fee over the whole is skipped whole.
    /// @param claims on channels of the checks' providers
    /// @param checks one for each claim, in the same order
    /// @return fees what the caller is paid in all
    function clear(Claim[] calldata claims, Check[] calldata checks) external returns (uint256 fees);

    /// @notice Takes out the caller's whole credit.
    /// @dev Reverts with NothingToCollect, RecipientInvalid or TransferFailed.
    /// @param to who is paid
    /// @return amount the credit that there was
    function collect(address to) external returns (uint256 amount);

    /// @notice Begins the close, for good. Claims are paid until the withdrawal. Emits Closing.
    /// @dev Reverts with NotOwner or AccountClosing.
    /// @param signer whose account it is; the caller must be its owner
    function close(address signer) external;

    /// @notice Takes out balance and bond once the delay is over. Emits Withdrawn.
    /// @dev Reverts with NotOwner, TooEarly or RecipientInvalid. A transfer that fails becomes a credit of `to`.
    /// @param signer whose account it is; the caller must be its owner
    /// @param to who is paid
    /// @return amount balance and bond as they were
    function withdraw(address signer, address to) external returns (uint256 amount);

    /// @notice All zero for a signer that nobody has deposited for.
    function account(address signer) external view returns (Account memory);

    /// @notice What was ever paid on a channel, with fees and with what came from a bond; it never falls nor exceeds what was signed.
    function paid(address signer, bytes32 channel) external view returns (uint96);

    /// @notice What this address may collect.
    function credits(address to) external view returns (uint256);

    /// @notice Bonds that were lost; they stay here for good.
    function burned() external view returns (uint256);
}
