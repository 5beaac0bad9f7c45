// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../../src/IMystClearing.sol";
import {HighS} from "../support/HighS.sol";
import {Promised} from "../support/Signing.sol";
import {Judge} from "./Judge.sol";

/// @dev What must be refused, and batches to hide it in.
abstract contract Forgeries is Judge {
    /// @dev those with a deposit of their own, beside the payers
    address[] internal forgers;

    /// @dev A claim that was changed, is another's, or is signed otherwise.
    function forgeClaim(uint256 pick, uint256 how) external {
        if (entries.length == 0) return;
        Entry memory e = recent(pick);
        Promised memory c = e.claim;
        address provider = providers[e.provider].addr;
        how %= 6;
        if (how == 0) c.cumulative += 1;
        if (how == 1) c.total = 0;
        if (how == 2) c.seq += 1;
        if (how == 3) provider = watcher;
        if (how == 4) c.signer = payers[(e.payer + 1) % payers.length].key.addr;
        if (how == 5) c.signature.vs ^= bytes32(uint256(1) << 255);
        Stand memory before = stand(c, provider);
        settleOne(c, provider);
        refused(before, c, provider, "a claim that nobody signed so was paid");
        count("forgery");
    }

    /// @dev The other s of a signature, worked out together with a key for which it is the only one that fits.
    function forgeHighS(uint256 pick) external {
        if (entries.length == 0 || token.paused()) return;
        Promised memory c = recent(pick).claim;
        address provider = providers[0].addr;
        bytes32 digest = promiseDigest(provider, c);
        Person memory forger;
        (forger.key, c.signature) = HighS.forge(digest);
        forger.addr = vm.addr(forger.key);
        c.signer = forger.addr;
        if (clearing.account(forger.addr).owner == address(0)) {
            IMystClearing.Signature memory consent = consentOf(forger, outsider);
            vm.prank(outsider);
            clearing.deposit(forger.addr, MOST, 0, consent);
            forgers.push(forger.addr);
        }
        Stand memory before = stand(c, provider);
        settleOne(c, provider);
        refused(before, c, provider, "a signature counted in two encodings");
        count("forgery");
    }

    /// @dev A check that was changed, has ended, asks for too much, is another's or for another promise.
    function forgeCheck(uint256 pick, uint256 how) external {
        if (entries.length == 0) return;
        Entry memory e = recent(pick);
        address provider = providers[e.provider].addr;
        uint40 now_ = uint40(block.timestamp);
        IMystClearing.Check memory k = checkOf(e, 100, now_);
        how %= 7;
        if (how == 0) k.feeBps = 10_000;
        if (how == 1) k.to = watcher;
        if (how == 2) k = checkOf(e, 100, now_ - 1);
        if (how == 3) k.deadline += 1;
        if (how == 4) k = checkOf(e, 10_001, now_);
        if (how == 5) {
            k = checkOf(Entry(e.payer, 1 - e.provider, e.claim), 100, now_);
            k.provider = provider;
        }
        if (how == 6) {
            Entry memory another = entries[(pick % entries.length + 1) % entries.length];
            if (keccak256(abi.encode(another)) == keccak256(abi.encode(e))) return;
            k = checkOf(another, 100, now_);
            k.provider = provider;
        }
        Stand memory before = stand(e.claim, provider);
        clearOne(e.claim, k);
        refused(before, e.claim, provider, "a check that nobody signed so moved money");
        count("forgery");
    }

    /// @dev What is the owner's alone, and what even the owner may not.
    function intrude(uint256 slot, uint256 how) external {
        Payer storage p = payers[active[slot % SLOTS]];
        address signer = p.key.addr;
        IMystClearing.Signature memory consent = consentOf(p.key, p.owner);
        how %= 5;
        // these two only the owner could do, but for the close
        if (how < 2 && p.closeAt == 0) how += 2;
        count("forgery");
        vm.prank(how < 2 ? p.owner : outsider);
        if (how == 0) {
            try clearing.close(signer) {
                rule(4, false, "a close was moved");
            } catch {}
        } else if (how == 1) {
            try clearing.deposit(signer, 1, 0, consent) {
                rule(4, false, "a closing account took a deposit");
            } catch {}
        } else if (how == 2) {
            try clearing.close(signer) {
                rule(4, false, "a stranger closed an account");
            } catch {}
        } else if (how == 3) {
            try clearing.withdraw(signer, outsider) {
                rule(4, false, "a stranger withdrew");
            } catch {}
        } else {
            // an account that is there, one that is not, and that of the zero address, which ecrecover answers for whatever is wrong
            address wanted = [signer, makeAddr("nobody yet"), address(0)][slot % 3];
            if (wanted == address(0)) consent = IMystClearing.Signature(0, 0);
            try clearing.deposit(wanted, 1, 0, consent) {
                rule(4, false, "a stranger became an owner");
            } catch {}
        }
    }

    function recent(uint256 pick) internal view returns (Entry memory) {
        uint256 among = entries.length < 24 ? entries.length : 24;
        return entries[entries.length - 1 - pick % among];
    }

    /// @dev Claims of one provider, old ones and the same ones again among them.
    function batchOf(uint256 pick, uint256 size) internal view returns (Entry[] memory batch) {
        batch = new Entry[](size);
        batch[0] = recent(pick);
        for (uint256 i = 1; i < size; ++i) {
            Entry memory e = recent(uint256(keccak256(abi.encode(pick, i))));
            batch[i] = e.provider == batch[0].provider ? e : batch[i - 1];
        }
    }

    function spoilt(Promised memory c) internal pure returns (IMystClearing.Claim memory claim) {
        claim = pack(c);
        claim.signature.r ^= bytes32(uint256(1));
    }

    /// @dev All that claims of a batch may change.
    function fingerprint(Entry[] memory batch) internal view returns (bytes32 hash) {
        for (uint256 i = 0; i < batch.length; ++i) {
            hash = keccak256(abi.encode(hash, stand(batch[i].claim, providers[batch[i].provider].addr)));
        }
        hash = keccak256(abi.encode(hash, token.balanceOf(address(clearing))));
    }
}
