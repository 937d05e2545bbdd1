// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Complaint, Package, Packages} from "./Package.sol";
import {Token} from "./Tokens.sol";

/// @notice An exchange, an owner and a recipient with money, and the steps of a sale between them.
abstract contract FairExchangeFixture is Test {
    using Packages for Package;

    uint256 internal constant START = 1_800_000_000;
    uint128 internal constant PRICE = 3 ether;
    uint128 internal constant BOND = 1 ether;
    uint256 internal constant PURSE = 1_000 ether;
    address internal constant COIN = address(0);
    bytes32 internal constant KEY = keccak256("the key of the sale");
    uint64 internal constant CHUNKS = 5;

    FairExchange internal exchange;
    Token internal erc20;
    address internal owner = makeAddr("owner");
    address internal recipient = makeAddr("recipient");
    address internal stranger = makeAddr("stranger");

    // What the sales of a test are paid in, and the owner's stake in them.
    address internal token;
    uint128 internal bond;

    function setUp() public virtual {
        vm.warp(START);
        exchange = new FairExchange();
        erc20 = new Token();
        _endow(owner);
        _endow(recipient);
        _endow(stranger);
    }

    /// @dev Runs a test four times: in coin and in a token, without a bond and with one.
    modifier inEveryKind() {
        for (uint256 kind = 0; kind < 4; ++kind) {
            uint256 before = vm.snapshotState();
            token = kind < 2 ? COIN : address(erc20);
            bond = kind % 2 == 0 ? 0 : BOND;
            _;
            assertTrue(vm.revertToState(before));
        }
    }

    function _endow(address account) internal {
        vm.deal(account, PURSE);
        erc20.mint(account, PURSE);
        vm.prank(account);
        erc20.approve(address(exchange), type(uint256).max);
    }

    // --- Terms ---

    function _terms() internal view returns (FairExchange.Terms memory) {
        return _termsOf(Packages.make(KEY, CHUNKS));
    }

    function _termsOf(Package memory package) internal view returns (FairExchange.Terms memory terms) {
        terms.owner = owner;
        terms.recipient = recipient;
        terms.record = keccak256("record");
        terms.packageRoot = MerkleTree.root(package.leaves);
        terms.cipherRoot = MerkleTree.root(package.cipherLeaves);
        terms.keyCommitment = keccak256(abi.encode(package.key));
        // The last chunk is not full.
        terms.size = uint64(package.chunks.length * Packages.CHUNK_SIZE - 300);
        terms.token = token;
        terms.price = PRICE;
        terms.bond = bond;
        terms.openUntil = uint64(START + 365 days);
        terms.revealWindow = 1 days;
        terms.complaintWindow = 2 days;
    }

    /// @dev Terms of a package that nobody looks into.
    function _plainTerms() internal view returns (FairExchange.Terms memory terms) {
        terms.owner = owner;
        terms.recipient = recipient;
        terms.keyCommitment = keccak256(abi.encode(KEY));
        terms.size = 1;
        terms.token = token;
        terms.price = PRICE;
        terms.openUntil = uint64(START + 365 days);
        terms.revealWindow = 1 days;
        terms.complaintWindow = 1 days;
    }

    /// @dev An owner who put another chunk under the cipher than the package's root says.
    function _cheatingPackage(uint64 index) internal pure returns (Package memory package) {
        package = Packages.make(KEY, CHUNKS);
        package.chunks[index] = Packages.noise("another scan");
        package.cipherLeaves = Packages.leavesOf(package.chunks);
    }

    // --- Steps ---

    function _offer(FairExchange.Terms memory terms) internal returns (bytes32) {
        vm.prank(terms.owner);
        return exchange.offer{value: terms.token == COIN ? terms.bond : 0}(terms);
    }

    function _accept(FairExchange.Terms memory terms) internal {
        vm.prank(terms.recipient);
        exchange.accept{value: terms.token == COIN ? terms.price : 0}(terms);
    }

    function _reveal(FairExchange.Terms memory terms) internal {
        vm.prank(terms.owner);
        exchange.reveal(terms, KEY);
    }

    function _complain(FairExchange.Terms memory terms, Complaint memory c) internal {
        exchange.complain(terms, c.key, c.index, c.chunk, c.chunkPath, c.leaf, c.leafPath);
    }

    /// @dev Takes a new sale on these terms to a state, by the shortest way.
    function _take(FairExchange.Terms memory terms, FairExchange.State to) internal {
        if (to == FairExchange.State.None) return;
        _offer(terms);
        if (to == FairExchange.State.Offered) return;
        if (to == FairExchange.State.Cancelled) {
            vm.prank(terms.owner);
            return exchange.cancel(terms);
        }
        _accept(terms);
        if (to == FairExchange.State.Accepted) return;
        if (to == FairExchange.State.Refunded) {
            skip(uint256(terms.revealWindow) + 1);
            vm.prank(terms.recipient);
            return exchange.refund(terms);
        }
        _reveal(terms);
        if (to == FairExchange.State.Revealed) return;
        vm.prank(terms.recipient);
        exchange.settle(terms);
    }

    // --- What came of it ---

    function _stateOf(FairExchange.Terms memory terms) internal view returns (FairExchange.State) {
        return exchange.sale(exchange.saleId(terms)).state;
    }

    function _assertState(FairExchange.Terms memory terms, FairExchange.State expected) internal view {
        FairExchange.Sale memory sale = exchange.sale(exchange.saleId(terms));
        assertEq(uint8(sale.state), uint8(expected), "state");
    }

    function _held(address account) internal view returns (uint256) {
        return token == COIN ? account.balance : Token(token).balanceOf(account);
    }

    /// @dev What each has, from a purse that was full at first; nothing else was paid, credited or kept.
    function _assertHeld(uint256 owners, uint256 recipients) internal view {
        assertEq(_held(owner), owners, "owner");
        assertEq(_held(recipient), recipients, "recipient");
        assertEq(_held(stranger), PURSE, "stranger");
        assertEq(_held(address(exchange)), 2 * PURSE - owners - recipients, "exchange");
        assertEq(exchange.creditOf(token, owner) + exchange.creditOf(token, recipient), 0, "credit");
    }
}
