// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {MystClearing} from "../../src/MystClearing.sol";
import {Promised, Signing} from "../support/Signing.sol";
import {FlakyToken} from "../support/Tokens.sol";

/// @dev Who takes part, what they have signed, what was done for them: all that the contract should agree with, kept apart from it.
abstract contract Market is Signing {
    /// @dev Honest: totals are true and within the line. Liar: totals are within the line, whatever was promised. Reckless: totals are
    /// true and may be over the line.
    enum Kind {
        Honest,
        Liar,
        Reckless
    }

    struct Payer {
        Person key;
        address owner;
        Kind kind;
        uint256 deposited;
        uint256 bonded;
        uint256 paid;
        uint256 withdrawn;
        uint96 total;
        uint40 closeAt;
        bool gone;
    }

    struct Entry {
        uint256 payer;
        uint256 provider;
        Promised claim;
    }

    uint256 internal constant SLOTS = 5;
    uint256 internal constant SALTS = 2;
    uint96 internal constant MOST = 1_000_000;

    /// @dev every payer there ever was; `active` are those that still deposit, promise and close
    Payer[] internal payers;
    uint256[SLOTS] internal active;
    Person[2] internal providers;
    address internal watcher = makeAddr("watcher");
    address internal outsider = makeAddr("outsider");
    /// @dev owners who withdrew while the token would not let it through
    address[] internal creditors;
    Entry[] internal entries;
    uint64 private seq;
    /// @dev by signer and channel: the most that was ever signed
    mapping(address signer => mapping(bytes32 channel => uint96)) internal signedMost;

    /// @dev by rule of the design, the first thing that was seen to break it
    mapping(uint256 rule => string) public broken;
    /// @dev how often something worth reaching was reached in this run
    mapping(string what => uint256) public reached;

    constructor(FlakyToken token_, MystClearing clearing_) {
        (token, clearing) = (token_, clearing_);
        (providers[0], providers[1]) = (person("provider a"), person("provider b"));
        fund(outsider);
        for (uint256 i = 0; i < SLOTS; ++i) {
            join(i);
        }
    }

    /// @dev A fresh signer takes the place: a closed one is never used again.
    function join(uint256 slot) internal {
        uint256 n = payers.length;
        Payer storage p = payers.push();
        p.key = person(string.concat("payer ", vm.toString(n)));
        // every other account is an outside wallet's
        p.owner = n % 2 == 0 ? p.key.addr : makeAddr(string.concat("owner ", vm.toString(n)));
        p.kind = [Kind.Honest, Kind.Liar, Kind.Honest, Kind.Reckless, Kind.Liar][slot];
        active[slot] = n;
        bool paused = token.paused();
        token.pause(false);
        fund(p.owner);
        put(p, MOST / 2, MOST / 10);
        token.pause(paused);
    }

    function put(Payer storage p, uint96 amount, uint96 bond) internal {
        IMystClearing.Signature memory consent = consentOf(p.key, p.owner);
        vm.prank(p.owner);
        clearing.deposit(p.key.addr, amount, bond, consent);
        p.deposited += amount;
        p.bonded += bond;
    }

    /// @dev What its kind would sign, if anything: an honest payer promises what it has, and nothing once it closes.
    function sign(uint256 n, uint256 provider, uint96 salt, uint96 amount) internal {
        Payer storage p = payers[n];
        uint96 room = uint96(p.deposited) - (p.total < p.deposited ? p.total : uint96(p.deposited));
        if (p.kind == Kind.Honest) {
            if (room == 0 || p.closeAt != 0) return;
            amount = uint96(bound(amount, 1, room));
        }
        bytes32 channel = channelOf(providers[provider].addr, salt);
        p.total += amount;
        signedMost[p.key.addr][channel] += amount;
        uint96 total = p.kind == Kind.Liar && p.total > p.deposited ? uint96(p.deposited) : p.total;
        // rounded up for privacy, never above the line
        if (p.kind == Kind.Honest && amount % 2 == 0) total += (room - amount) / 2;
        Promised memory c = Promised({
            signer: p.key.addr,
            salt: salt,
            cumulative: signedMost[p.key.addr][channel],
            total: total,
            seq: ++seq,
            signature: IMystClearing.Signature(0, 0)
        });
        c.signature = signed(p.key, promiseDigest(providers[provider].addr, c));
        entries.push(Entry(n, provider, c));
    }

    function rule(uint256 number, bool holds, string memory otherwise) internal {
        if (!holds && bytes(broken[number]).length == 0) broken[number] = otherwise;
    }

    function count(string memory what) internal {
        ++reached[what];
    }

    /// @dev Everybody to whom the contract may owe: who is gone only as long as it does.
    function payees() internal view returns (address[] memory all) {
        all = new address[](3 + SLOTS + creditors.length);
        (all[0], all[1], all[2]) = (providers[0].addr, providers[1].addr, watcher);
        for (uint256 i = 0; i < SLOTS; ++i) {
            all[3 + i] = payers[active[i]].owner;
        }
        for (uint256 i = 0; i < creditors.length; ++i) {
            all[3 + SLOTS + i] = creditors[i];
        }
    }

    /// @dev What somebody has, be it paid or credited.
    function worth(address who) internal view returns (uint256) {
        return token.balanceOf(who) + clearing.credits(who);
    }
}
