// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {FlakyToken} from "./Tokens.sol";
import {Test} from "./Test.sol";

/// @dev A claim taken apart, so that tests can change one thing of it.
struct Promised {
    address signer;
    uint96 salt;
    uint96 cumulative;
    uint96 total;
    uint64 seq;
    IMystClearing.Signature signature;
}

/// @dev A contract, two payers, a provider and the means to sign. Digests are worked out here once more, apart from the contract's code.
abstract contract Fixture is Test {
    struct Person {
        address addr;
        uint256 key;
    }

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    FlakyToken internal token;
    MystClearing internal clearing;
    Person internal payer;
    Person internal other;
    Person internal provider;
    address internal stranger = makeAddr("stranger");
    address internal payout = makeAddr("payout");

    /// @dev Set what stands in for it before, or a token comes that can do everything a token should not.
    function setUp() public virtual {
        if (address(token) == address(0)) token = new FlakyToken();
        clearing = new MystClearing(token);
        payer = person("payer");
        other = person("other");
        provider = person("provider");
        fund(payer.addr);
        fund(other.addr);
    }

    function person(string memory name) internal returns (Person memory p) {
        (p.addr, p.key) = makeAddrAndKey(name);
    }

    function fund(address who) internal {
        token.mint(who, type(uint96).max);
        vm.prank(who);
        token.approve(address(clearing), type(uint256).max);
    }

    /// @dev The person is owner and signer at once.
    function open(Person memory p, uint96 amount, uint96 bond) internal {
        IMystClearing.Signature memory consent = consentOf(p, p.addr);
        vm.prank(p.addr);
        clearing.deposit(p.addr, amount, bond, consent);
    }

    function separator() internal view returns (bytes32) {
        return
            keccak256(
                abi.encode(DOMAIN_TYPE, keccak256("MystClearing"), keccak256("1"), block.chainid, address(clearing))
            );
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(bytes.concat(hex"1901", separator(), structHash));
    }

    function signed(Person memory p, bytes32 digest) internal pure returns (IMystClearing.Signature memory s) {
        (s.r, s.vs) = vm.signCompact(p.key, digest);
    }

    function consentOf(Person memory p, address owner) internal view returns (IMystClearing.Signature memory) {
        return signed(p, digestOf(keccak256(abi.encode(keccak256("Open(address owner)"), owner))));
    }

    function channelOf(address to, uint96 salt) internal pure returns (bytes32) {
        return keccak256(bytes.concat(bytes20(to), bytes12(salt)));
    }

    function promiseDigest(address to, Promised memory c) internal view returns (bytes32) {
        bytes32 kind = keccak256("Promise(bytes32 channel,uint96 cumulative,uint96 total,uint64 seq)");
        return digestOf(keccak256(abi.encode(kind, channelOf(to, c.salt), c.cumulative, c.total, c.seq)));
    }

    /// @dev A promise of `p` to the provider, its total and seq as large as the amount.
    function claim(Person memory p, uint96 salt, uint96 cumulative) internal view returns (Promised memory c) {
        c = Promised({
            signer: p.addr,
            salt: salt,
            cumulative: cumulative,
            total: cumulative,
            seq: uint64(cumulative),
            signature: IMystClearing.Signature(0, 0)
        });
        c.signature = signed(p, promiseDigest(provider.addr, c));
    }

    function check(Promised memory c, uint16 feeBps, uint40 deadline)
        internal
        view
        returns (IMystClearing.Check memory k)
    {
        bytes32 kind = keccak256("Check(bytes32 promiseHash,address to,uint16 feeBps,uint40 deadline)");
        bytes32 digest =
            digestOf(keccak256(abi.encode(kind, promiseDigest(provider.addr, c), payout, feeBps, deadline)));
        k = IMystClearing.Check({
            provider: provider.addr, to: payout, feeBps: feeBps, deadline: deadline, signature: signed(provider, digest)
        });
    }

    function noCheck() internal view returns (IMystClearing.Check memory k) {
        k.provider = provider.addr;
    }

    function pack(Promised memory c) internal pure returns (IMystClearing.Claim memory) {
        bytes32 who = bytes32(bytes.concat(bytes20(c.signer), bytes12(c.salt)));
        return IMystClearing.Claim(who, content(c.cumulative, c.total, c.seq), c.signature);
    }

    function content(uint96 cumulative, uint96 total, uint64 seq) internal pure returns (bytes32) {
        return bytes32(bytes.concat(bytes12(cumulative), bytes12(total), bytes8(seq)));
    }

    function pack(Promised[] memory list_) internal pure returns (IMystClearing.Claim[] memory claims) {
        claims = new IMystClearing.Claim[](list_.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            claims[i] = pack(list_[i]);
        }
    }

    function settle(Promised memory c) internal returns (uint256) {
        return settle(list(c));
    }

    function settle(Promised[] memory claims) internal returns (uint256) {
        vm.prank(provider.addr);
        return clearing.settle(pack(claims), payout);
    }

    function clear(Promised memory c, IMystClearing.Check memory k) internal returns (uint256) {
        IMystClearing.Check[] memory checks = new IMystClearing.Check[](1);
        checks[0] = k;
        vm.prank(stranger);
        return clearing.clear(pack(list(c)), checks);
    }

    function list(Promised memory a) internal pure returns (Promised[] memory claims) {
        claims = new Promised[](1);
        claims[0] = a;
    }

    function list(Promised memory a, Promised memory b) internal pure returns (Promised[] memory claims) {
        claims = new Promised[](2);
        (claims[0], claims[1]) = (a, b);
    }

    function paidTo(Person memory p, uint96 salt) internal view returns (uint96) {
        return clearing.paid(p.addr, channelOf(provider.addr, salt));
    }
}
