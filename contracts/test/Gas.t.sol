// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMystClearing} from "../src/IMystClearing.sol";
import {TestToken} from "../src/TestToken.sol";
import {Fixture} from "./support/Fixture.sol";
import {Promised} from "./support/Signing.sol";
import {FlakyToken} from "./support/Tokens.sol";

/// @dev Whole transactions, base cost and calldata included: snapshots/gas.json. A batch of 50 has 50 signers, one claim each.
contract GasTest is Fixture {
    uint256 private constant BATCH = 50;
    Person[] private payers;

    function setUp() public override {
        // a token like those in use, without the reads that the flaky one makes of itself
        token = FlakyToken(address(new TestToken()));
        super.setUp();
        token.mint(payout, 1 ether);
        for (uint256 i = 0; i < BATCH; ++i) {
            Person memory p = person(string.concat("payer ", vm.toString(i)));
            fund(p.addr);
            open(p, 100 ether, 10 ether);
            payers.push(p);
        }
    }

    function test_Gas_SettleBatchOf50() public {
        settle(claims(1 ether));
        uint256 fresh = vm.snapshotGasLastCall("gas", "settle 50 new channels");
        settle(claims(2.5 ether));
        uint256 repeat = vm.snapshotGasLastCall("gas", "settle 50 repeat claims");
        assertLe(fresh / BATCH, 40_000, "a new channel in a batch");
        assertLe(repeat / BATCH, 22_000, "a repeat claim in a batch");
    }

    function test_Gas_SettleOne() public {
        settle(claim(payers[0], 1, 1 ether));
        vm.snapshotGasLastCall("gas", "settle 1 new channel");
        settle(claim(payers[0], 1, 2.5 ether));
        assertLe(vm.snapshotGasLastCall("gas", "settle 1 repeat claim"), 60_000, "a repeat claim alone");
    }

    function test_Gas_ClearOneWithACheck() public {
        Promised memory c = claim(payers[0], 1, 1 ether);
        clear(c, check(c, 100, type(uint40).max));
        vm.snapshotGasLastCall("gas", "clear 1 new channel");
        c = claim(payers[0], 1, 2.5 ether);
        clear(c, check(c, 100, type(uint40).max));
        vm.snapshotGasLastCall("gas", "clear 1 repeat claim");
    }

    function test_Gas_ClearBatchOf50WithChecks() public {
        clearAll(claims(1 ether));
        vm.snapshotGasLastCall("gas", "clear 50 new channels");
        clearAll(claims(2.5 ether));
        vm.snapshotGasLastCall("gas", "clear 50 repeat claims");
    }

    function test_Gas_Account() public {
        open(payer, 100 ether, 10 ether);
        vm.snapshotGasLastCall("gas", "deposit first");
        open(payer, 100 ether, 10 ether);
        vm.snapshotGasLastCall("gas", "deposit again");
        vm.startPrank(payer.addr);
        clearing.close(payer.addr);
        vm.snapshotGasLastCall("gas", "close");
        skip(3 days);
        clearing.withdraw(payer.addr, payer.addr);
        vm.snapshotGasLastCall("gas", "withdraw");
        vm.stopPrank();
    }

    function clearAll(Promised[] memory batch) private {
        IMystClearing.Check[] memory checks = new IMystClearing.Check[](BATCH);
        for (uint256 i = 0; i < BATCH; ++i) {
            checks[i] = check(batch[i], 100, type(uint40).max);
        }
        vm.prank(stranger);
        clearing.clear(pack(batch), checks);
    }

    function claims(uint96 amount) private view returns (Promised[] memory batch) {
        batch = new Promised[](BATCH);
        for (uint256 i = 0; i < BATCH; ++i) {
            batch[i] = claim(payers[i], uint96(uint256(keccak256(abi.encode(i)))), amount);
        }
    }
}
