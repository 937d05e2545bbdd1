// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VmSafe} from "forge-std/Vm.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {ImageRegistry} from "../src/ImageRegistry.sol";
import {FairExchangeFixture} from "./FairExchangeFixture.sol";
import {ImageRegistryFixture} from "./ImageRegistryFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Complaint, Packages} from "./Package.sol";
import {RefusingWallet} from "./Receivers.sol";

// What each call costs as a transaction of its own, with all that is charged for being one. The numbers stand in
// `snapshots/`; a run writes them, and `FORGE_SNAPSHOT_CHECK=true forge test --match-path test/Gas.t.sol` compares instead.

/// forge-config: default.isolate = true
contract ImageRegistryGasTest is ImageRegistryFixture {
    string private constant GROUP = "ImageRegistry";

    function setUp() public override {
        // It is compiled otherwise there.
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage));
        super.setUp();
    }

    function test_gas_of_accreditation() external {
        vm.prank(administrator);
        registry.accredit(hospital, makeAddr("another radiologist"), FROM, UNTIL);
        vm.snapshotGasLastCall(GROUP, "accredit");
    }

    function test_gas_of_a_record() external {
        bytes32 id = _register(_record());
        assertLe(vm.snapshotGasLastCall(GROUP, "register"), 85_000);
        vm.startPrank(hospital);
        registry.addCopy(id, _copy(7));
        vm.snapshotGasLastCall(GROUP, "addCopy");
        registry.grant(id, keccak256("recipient"), keccak256("package"));
        vm.snapshotGasLastCall(GROUP, "grant");
        registry.withdraw(id, keccak256("recipient"));
        vm.snapshotGasLastCall(GROUP, "withdraw");
        registry.transferOwnership(id, stranger);
        vm.snapshotGasLastCall(GROUP, "transferOwnership");
        vm.stopPrank();
        vm.prank(stranger);
        registry.revoke(id);
        vm.snapshotGasLastCall(GROUP, "revoke");
    }

    /// @dev The record that is used of the batch stands in a tree as deep as that of a thousand.
    function test_gas_of_a_batch_of_a_thousand_records() external {
        ImageRegistry.Record memory record = _record();
        bytes32[] memory leaves = new bytes32[](1000);
        bytes memory tags = new bytes(8000);
        for (uint64 i = 0; i < 1000; ++i) {
            leaves[i] = keccak256(abi.encode("leaf", i));
            for (uint256 j = 0; j < 8; ++j) {
                tags[8 * i + j] = leaves[i][j];
            }
        }
        leaves[700] = MerkleTree.leafHash(700, bytes.concat(keccak256(abi.encode(record))));
        ImageRegistry.Batch memory batch =
            ImageRegistry.Batch(MerkleTree.root(leaves), 1000, NOW, hospital, radiologist);
        (bytes32 r, bytes32 vs) = _signBatch(batch);
        vm.prank(hospital);
        registry.registerBatch(batch.root, NOW, tags, 0, r, vs);
        assertLe(vm.snapshotGasLastCall(GROUP, "registerBatch, 1,000 records"), 400 * 1000);
        (r, vs) = _signClaim(record);
        registry.registerFromBatch(batch, record, 700, MerkleTree.path(leaves, 700), r, vs);
        vm.snapshotGasLastCall(GROUP, "registerFromBatch, of 1,000 records");
    }
}

/// forge-config: default.isolate = true
contract FairExchangeGasTest is FairExchangeFixture {
    string private constant GROUP = "FairExchange";

    uint64 private constant SIZE = 1 << 30;
    uint64 private constant INDEX = (1 << 20) - 3;

    function setUp() public override {
        // It is compiled otherwise there.
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage));
        super.setUp();
    }

    function test_gas_of_a_sale() external {
        (FairExchange.Terms memory terms,) = _longSale();
        _offer(terms);
        uint256 all = vm.snapshotGasLastCall(GROUP, "offer");
        _accept(terms);
        all += vm.snapshotGasLastCall(GROUP, "accept");
        _reveal(terms);
        all += vm.snapshotGasLastCall(GROUP, "reveal");
        vm.prank(recipient);
        exchange.settle(terms);
        all += vm.snapshotGasLastCall(GROUP, "settle");
        vm.snapshotValue(GROUP, "a whole sale", all);
        assertLe(all, 185_000);
    }

    function test_gas_of_a_sale_in_a_token_with_a_bond() external {
        (token, bond) = (address(erc20), BOND);
        (FairExchange.Terms memory terms,) = _longSale();
        _offer(terms);
        vm.snapshotGasLastCall(GROUP, "offer, token and bond");
        _accept(terms);
        vm.snapshotGasLastCall(GROUP, "accept, token and bond");
        _reveal(terms);
        vm.prank(recipient);
        exchange.settle(terms);
        vm.snapshotGasLastCall(GROUP, "settle, token and bond");
    }

    function test_gas_of_a_complaint_about_a_chunk_of_a_gibibyte() external {
        (FairExchange.Terms memory terms, Complaint memory c) = _longSale();
        _take(terms, FairExchange.State.Revealed);
        vm.prank(recipient);
        _complain(terms, c);
        assertLe(vm.snapshotGasLastCall(GROUP, "complain, depth 20"), 140_000);
    }

    function test_gas_of_what_ends_a_sale_early() external {
        (FairExchange.Terms memory terms,) = _longSale();
        terms.bond = BOND;
        _offer(terms);
        vm.prank(owner);
        exchange.cancel(terms);
        vm.snapshotGasLastCall(GROUP, "cancel, with a bond");
        terms.nonce = uint256(keccak256("another nonce"));
        _take(terms, FairExchange.State.Refunded);
        vm.snapshotGasLastCall(GROUP, "refund, with a bond");
    }

    function test_gas_of_a_credit() external {
        RefusingWallet wallet = new RefusingWallet();
        (FairExchange.Terms memory terms,) = _longSale();
        terms.recipient = address(wallet);
        vm.deal(address(wallet), PRICE);
        _take(terms, FairExchange.State.Refunded);
        vm.snapshotGasLastCall(GROUP, "refund, credited");
        vm.prank(address(wallet));
        exchange.withdrawCredit(COIN, stranger);
        vm.snapshotGasLastCall(GROUP, "withdrawCredit");
    }

    /// @dev Terms of a gibibyte, and a true complaint about one of its last chunks. All fields are as long as they can be.
    function _longSale() private view returns (FairExchange.Terms memory terms, Complaint memory c) {
        terms = _terms();
        c = Complaint(KEY, INDEX, Packages.noise("chunk"), _path("chunk"), keccak256("leaf"), _path("leaf"));
        terms.cipherRoot = Packages.rootAbove(MerkleTree.leafHash(INDEX, c.chunk), INDEX, c.chunkPath);
        terms.packageRoot = Packages.rootAbove(c.leaf, INDEX, c.leafPath);
        terms.size = SIZE;
        terms.nonce = uint256(keccak256("nonce"));
    }

    function _path(bytes32 seed) private pure returns (bytes32[] memory path) {
        path = new bytes32[](20);
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = keccak256(abi.encode(seed, i));
        }
    }
}
