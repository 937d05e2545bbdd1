// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {FairExchangeFixture} from "./FairExchangeFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Complaint, Package, Packages} from "./Package.sol";
import {
    BombingWallet,
    BurningWallet,
    ForcedEther,
    ReentrantWallet,
    RefusingWallet,
    WorkingWallet
} from "./Receivers.sol";
import {BlockingToken, FalseToken, FeeToken, HookToken, SilentToken, Token} from "./Tokens.sol";

/// @notice What an owner, a recipient, a token or anybody else may try, and what comes of it.
contract FairExchangeAttacksTest is FairExchangeFixture {
    using Packages for Package;

    // --- An owner who cheats ---

    function test_an_owner_who_sends_a_wrong_chunk_loses_price_and_bond() external inEveryKind {
        Package memory package = _cheatingPackage(4);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        vm.prank(recipient);
        _complain(terms, package.complaint(4));
        skip(365 days);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Refunded));
        vm.prank(owner);
        exchange.settle(terms);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    /// @dev The commitment is to the key that is revealed, but the chunks are under another: any of them proves it.
    function test_an_owner_who_commits_to_a_wrong_key_loses_price_and_bond() external inEveryKind {
        Package memory package = Packages.make("the key that stays secret", CHUNKS);
        package.key = KEY;
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        for (uint64 index = 0; index < CHUNKS; ++index) {
            uint256 before = vm.snapshotState();
            _complain(terms, package.complaint(index));
            _assertHeld(PURSE - bond, PURSE + bond);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_an_owner_who_reveals_a_wrong_key_has_revealed_nothing() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        vm.expectRevert(FairExchange.WrongKey.selector);
        vm.prank(owner);
        exchange.reveal(terms, "another key");
        skip(uint256(terms.revealWindow) + 1);
        vm.prank(recipient);
        exchange.refund(terms);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    function test_an_owner_who_falls_silent_loses_the_bond() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(uint256(terms.revealWindow) + 1);
        vm.prank(recipient);
        exchange.refund(terms);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    function test_an_owner_cannot_take_an_accepted_offer_back() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Accepted));
        vm.prank(owner);
        exchange.cancel(terms);
    }

    function test_an_owner_is_not_paid_for_a_key_that_it_keeps() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(365 days);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Accepted));
        vm.prank(owner);
        exchange.settle(terms);
    }

    /// @dev An owner whose tree says that a chunk is missing, where the count says that there is one.
    function test_a_chunk_that_the_package_lacks_is_a_wrong_chunk() external inEveryKind {
        Package memory package = Packages.make(KEY, CHUNKS);
        package.leaves[1] = 0;
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        _complain(terms, package.complaint(1));
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    // --- Late reveal against refund ---

    function test_a_late_reveal_before_the_refund_stands() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(30 * uint256(terms.revealWindow));
        _reveal(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Revealed));
        vm.prank(recipient);
        exchange.refund(terms);
        // The recipient has its whole window, from the reveal on.
        skip(terms.complaintWindow);
        vm.expectPartialRevert(FairExchange.TooEarly.selector);
        vm.prank(owner);
        exchange.settle(terms);
        skip(1);
        vm.prank(owner);
        exchange.settle(terms);
        _assertHeld(PURSE + PRICE, PURSE - PRICE);
    }

    function test_a_late_reveal_after_the_refund_is_refused() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Refunded);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Refunded));
        _reveal(terms);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    // --- A recipient who cheats ---

    function test_a_recipient_who_complains_falsely_only_loses_time() external inEveryKind {
        Package memory package = Packages.make(KEY, CHUNKS);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        for (uint64 index = 0; index < CHUNKS; ++index) {
            _refuseComplaint(terms, package.complaint(index), FairExchange.ChunkIsRight.selector);
        }
        skip(uint256(terms.complaintWindow) + 1);
        vm.prank(owner);
        exchange.settle(terms);
        _assertHeld(PURSE + PRICE, PURSE - PRICE);
    }

    function test_a_recipient_who_never_settles_cannot_keep_the_owner_from_its_money() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        skip(uint256(terms.complaintWindow) + 1);
        vm.prank(owner);
        exchange.settle(terms);
        _assertHeld(PURSE + PRICE, PURSE - PRICE);
    }

    function test_a_recipient_cannot_take_its_money_back_after_the_reveal() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        skip(365 days);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Revealed));
        vm.prank(recipient);
        exchange.refund(terms);
    }

    function test_a_recipient_cannot_complain_after_it_settled() external inEveryKind {
        Package memory package = _cheatingPackage(0);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Settled);
        Complaint memory c = package.complaint(0);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.Settled));
        _complain(terms, c);
    }

    // --- False proofs ---

    function test_chunk_i_is_not_held_against_leaf_j() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        for (uint64 i = 0; i < CHUNKS; ++i) {
            for (uint64 j = 0; j < CHUNKS; ++j) {
                if (i == j) continue;
                Complaint memory c = package.complaint(i);
                Complaint memory other = package.complaint(j);
                (c.leaf, c.leafPath) = (other.leaf, other.leafPath);
                _refuseComplaint(terms, c, FairExchange.NotInPackageTree.selector);
                // And not by the other index either.
                c.index = j;
                _refuseComplaint(terms, c, FairExchange.NotInCipherTree.selector);
            }
        }
    }

    /// @dev The tree of five leaves is filled up to eight. What fills it is in the tree, but not in the package.
    function test_an_index_beyond_the_count_is_refused() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        Package memory filled = package;
        for (uint64 index = CHUNKS; index < 8; ++index) {
            Complaint memory c = filled.complaint(0);
            c.index = index;
            c.chunkPath = _pathInEight(package.cipherLeaves, index);
            (c.leaf, c.leafPath) = (bytes32(0), _pathInEight(package.leaves, index));
            assertEq(Packages.rootAbove(0, index, c.leafPath), terms.packageRoot);
            _refuseComplaint(terms, c, FairExchange.NotInCipherTree.selector);
        }
        // An index of which only the low bits count for the sides.
        Complaint memory wrapped = package.complaint(3);
        wrapped.index = 3 + 8;
        _refuseComplaint(terms, wrapped, FairExchange.NotInCipherTree.selector);
        wrapped.index = 3 + (1 << 63);
        _refuseComplaint(terms, wrapped, FairExchange.NotInCipherTree.selector);
    }

    /// @dev Chunk and cipher are right at index 1; what is given out for its leaf is the node above leaves 2 and 3.
    function test_an_inner_node_is_no_leaf() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        Complaint memory c = package.complaint(1);
        bytes32 node = MerkleTree.nodeHash(package.leaves[2], package.leaves[3]);
        bytes32[] memory shorter = new bytes32[](2);
        shorter[0] = MerkleTree.nodeHash(package.leaves[0], package.leaves[1]);
        shorter[1] = c.leafPath[2];
        assertEq(Packages.rootAbove(node, 1, shorter), terms.packageRoot);
        (c.leaf, c.leafPath) = (node, shorter);
        _refuseComplaint(terms, c, FairExchange.NotInPackageTree.selector);
        // The root itself, without a path.
        (c.leaf, c.leafPath) = (terms.packageRoot, new bytes32[](0));
        _refuseComplaint(terms, c, FairExchange.NotInPackageTree.selector);
    }

    function test_a_path_of_the_wrong_length_is_refused() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        for (uint256 length = 0; length < 8; ++length) {
            if (length == 3) continue;
            Complaint memory c = package.complaint(2);
            c.chunkPath = _resized(c.chunkPath, length);
            _refuseComplaint(terms, c, FairExchange.NotInCipherTree.selector);
            c = package.complaint(2);
            c.leafPath = _resized(c.leafPath, length);
            _refuseComplaint(terms, c, FairExchange.NotInPackageTree.selector);
        }
    }

    function test_a_chunk_of_the_wrong_length_is_refused() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        uint256[5] memory lengths = [uint256(0), 1, 992, 1023, 1056];
        for (uint256 i = 0; i < lengths.length; ++i) {
            Complaint memory c = package.complaint(0);
            c.chunk = new bytes(lengths[i]);
            _refuseComplaint(terms, c, FairExchange.WrongChunkSize.selector);
        }
    }

    /// @dev An owner that puts a short chunk into its trees, which no complaint could be about: the recipient, who has
    /// all chunks before it pays, does not accept it. Nobody can use it against the owner either.
    function test_a_short_chunk_in_the_cipher_tree_is_no_proof() external {
        Package memory package = Packages.make(KEY, CHUNKS);
        package.chunks[2] = "short";
        package.cipherLeaves = Packages.leavesOf(package.chunks);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        _refuseComplaint(terms, package.complaint(2), FairExchange.WrongChunkSize.selector);
    }

    function test_a_complaint_with_a_key_that_was_not_revealed_is_refused() external {
        (Package memory package, FairExchange.Terms memory terms) = _revealed();
        Complaint memory c = package.complaint(0);
        c.key = "another key";
        _refuseComplaint(terms, c, FairExchange.WrongKey.selector);
    }

    // --- Other accounts ---

    function test_a_complaint_by_a_third_account_pays_the_recipient_only() external inEveryKind {
        Package memory package = _cheatingPackage(1);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        vm.prank(stranger);
        _complain(terms, package.complaint(1));
        _assertState(terms, FairExchange.State.Refunded);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    function test_terms_with_one_field_altered_are_another_sale() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(uint256(terms.revealWindow) + 1);
        bytes memory encoded = abi.encode(terms);
        for (uint256 field = 0; field < encoded.length / 32; ++field) {
            // The recipient calls, so its own field stays; all others are one off.
            if (field == 1) continue;
            FairExchange.Terms memory altered = abi.decode(_oneOff(encoded, field), (FairExchange.Terms));
            vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, FairExchange.State.None));
            vm.prank(recipient);
            exchange.refund(altered);
        }
    }

    function test_an_id_is_never_used_twice() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        for (uint8 state = 1; state <= uint8(type(FairExchange.State).max); ++state) {
            uint256 before = vm.snapshotState();
            _take(terms, FairExchange.State(state));
            vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongState.selector, state));
            _offer(terms);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_forced_ether_changes_nothing_for_anyone() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        new ForcedEther{value: 7 ether}(payable(address(exchange)));
        _accept(terms);
        _reveal(terms);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(_held(owner), PURSE + PRICE);
        assertEq(_held(recipient), PURSE - PRICE);
        assertEq(address(exchange).balance, 7 ether);
        vm.expectRevert(FairExchange.NoCredit.selector);
        vm.prank(owner);
        exchange.withdrawCredit(COIN, owner);
    }

    function test_tokens_that_were_sent_by_mistake_change_nothing_for_anyone() external {
        token = address(erc20);
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        erc20.mint(address(exchange), 7 ether);
        _accept(terms);
        _reveal(terms);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(_held(owner), PURSE + PRICE);
        assertEq(_held(address(exchange)), 7 ether);
    }

    function test_the_exchange_takes_no_coin_outside_a_sale() external {
        (bool success,) = address(exchange).call{value: 1}("");
        assertFalse(success);
    }

    // --- Receivers that refuse or burn ---

    function test_an_owner_who_refuses_money_blocks_no_one() external {
        RefusingWallet wallet = new RefusingWallet();
        FairExchange.Terms memory terms = _terms();
        (terms.owner, terms.bond) = (address(wallet), BOND);
        vm.deal(address(wallet), BOND);
        vm.expectCall(address(wallet), uint256(PRICE) + BOND, "");
        wallet.call(address(exchange), BOND, abi.encodeCall(exchange.offer, terms));
        _accept(terms);
        _reveal(terms);
        vm.prank(recipient);
        exchange.settle(terms);
        _assertState(terms, FairExchange.State.Settled);
        assertEq(exchange.creditOf(COIN, address(wallet)), uint256(PRICE) + BOND);
        assertEq(address(exchange).balance, uint256(PRICE) + BOND);
    }

    function test_a_recipient_who_refuses_money_is_credited() external {
        RefusingWallet wallet = new RefusingWallet();
        Package memory package = _cheatingPackage(0);
        FairExchange.Terms memory terms = _termsOf(package);
        terms.recipient = address(wallet);
        vm.deal(address(wallet), PRICE);
        _take(terms, FairExchange.State.Revealed);
        vm.prank(stranger);
        _complain(terms, package.complaint(0));
        _assertState(terms, FairExchange.State.Refunded);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.withdrawCredit, (COIN, recipient)));
        assertEq(recipient.balance, PURSE + PRICE);
    }

    function test_credits_of_several_sales_add_up() external {
        RefusingWallet wallet = new RefusingWallet();
        FairExchange.Terms memory terms = _terms();
        terms.owner = address(wallet);
        for (uint256 i = 1; i <= 3; ++i) {
            terms.nonce = i;
            _take(terms, FairExchange.State.Settled);
            assertEq(exchange.creditOf(COIN, address(wallet)), i * PRICE);
        }
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.withdrawCredit, (COIN, stranger)));
        assertEq(stranger.balance, PURSE + 3 * uint256(PRICE));
    }

    function test_nothing_is_credited_where_nothing_was_due() external {
        RefusingWallet wallet = new RefusingWallet();
        FairExchange.Terms memory terms = _terms();
        terms.owner = address(wallet);
        _offer(terms);
        vm.recordLogs();
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.cancel, terms));
        assertEq(vm.getRecordedLogs().length, 1);
    }

    /// @dev A payment is bounded in gas, for the sake of who triggers it; a withdrawal is its caller's own affair.
    function test_a_wallet_that_takes_much_gas_is_credited_and_withdraws() external {
        WorkingWallet wallet = new WorkingWallet(8);
        FairExchange.Terms memory terms = _terms();
        terms.owner = address(wallet);
        _take(terms, FairExchange.State.Settled);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.withdrawCredit, (COIN, address(wallet))));
        assertEq(address(wallet).balance, PRICE);
    }

    function test_a_receiver_that_burns_its_gas_costs_the_payer_little() external {
        BurningWallet wallet = new BurningWallet();
        assertLt(_gasToSettleWith(address(wallet)), 160_000);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
    }

    /// @dev Up to what its gas allows: if the payer copied the largest answers, it would pay as much again.
    function test_a_receiver_that_answers_with_a_bomb_costs_no_more_than_one_that_burns() external {
        uint256 most = _gasToSettleWith(address(new BurningWallet())) + 20_000;
        for (uint256 size = 100_000; size <= 220_000; size += 20_000) {
            assertLt(_gasToSettleWith(address(new BombingWallet(size, true))), most);
            assertLt(_gasToSettleWith(address(new BombingWallet(size, false))), most);
        }
    }

    /// @dev A payer cannot give so little gas that the payment fails and the settlement does not.
    function testFuzz_a_receiver_cannot_be_starved_of_gas(uint256 gas_) external {
        WorkingWallet wallet = new WorkingWallet(2);
        FairExchange.Terms memory terms = _plainTerms();
        terms.owner = address(wallet);
        _take(terms, FairExchange.State.Revealed);
        vm.prank(recipient);
        (bool success,) = address(exchange).call{gas: 30_000 + gas_ % 400_000}(abi.encodeCall(exchange.settle, terms));
        _assertState(terms, success ? FairExchange.State.Settled : FairExchange.State.Revealed);
        assertEq(address(wallet).balance, success ? PRICE : 0);
        assertEq(exchange.creditOf(COIN, address(wallet)), 0);
    }

    /// @dev The same where the receiver has a credit already, so that crediting costs less.
    function testFuzz_a_receiver_with_a_credit_cannot_be_starved_of_gas(uint256 gas_) external {
        RefusingWallet wallet = new RefusingWallet();
        FairExchange.Terms memory terms = _plainTerms();
        terms.owner = address(wallet);
        _take(terms, FairExchange.State.Settled);
        // From here on it is a wallet that takes money, and works for it.
        vm.etch(address(wallet), address(new WorkingWallet(2)).code);
        terms.nonce = 1;
        _take(terms, FairExchange.State.Revealed);
        vm.prank(recipient);
        (bool success,) = address(exchange).call{gas: 30_000 + gas_ % 400_000}(abi.encodeCall(exchange.settle, terms));
        assertEq(address(wallet).balance, success ? PRICE : 0);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
    }

    // --- Reentrancy ---

    /// @dev An owner that is a contract calls each guarded function while it is paid.
    function test_an_owner_cannot_call_back_while_it_is_paid() external {
        bytes[] memory calls = _guardedCalls();
        for (uint256 i = 0; i < calls.length; ++i) {
            uint256 before = vm.snapshotState();
            (ReentrantWallet wallet, FairExchange.Terms memory terms) = _reentrantOwner();
            wallet.plan(address(exchange), calls[i], false);
            vm.prank(recipient);
            exchange.settle(terms);
            _assertGuarded(wallet);
            assertEq(address(wallet).balance, PRICE);
            assertEq(address(exchange).balance, 0);
            assertEq(exchange.creditOf(COIN, address(wallet)), 0);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_an_owner_that_insists_on_calling_back_is_credited() external {
        (ReentrantWallet wallet, FairExchange.Terms memory terms) = _reentrantOwner();
        wallet.plan(address(exchange), abi.encodeCall(exchange.settle, terms), true);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(address(wallet).balance, 0);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
        // And takes its credit once, though it tries for more while it does.
        bytes memory withdrawal = abi.encodeCall(exchange.withdrawCredit, (COIN, address(wallet)));
        wallet.plan(address(exchange), withdrawal, false);
        _offerAnother(5 ether);
        wallet.call(address(exchange), 0, withdrawal);
        _assertGuarded(wallet);
        assertEq(address(wallet).balance, PRICE);
        assertEq(address(exchange).balance, 5 ether);
    }

    function test_a_recipient_cannot_call_back_while_it_is_refunded() external {
        ReentrantWallet wallet = new ReentrantWallet();
        FairExchange.Terms memory terms = _terms();
        terms.recipient = address(wallet);
        vm.deal(address(wallet), PRICE);
        _take(terms, FairExchange.State.Accepted);
        _offerAnother(5 ether);
        skip(uint256(terms.revealWindow) + 1);
        wallet.plan(address(exchange), abi.encodeCall(exchange.refund, terms), false);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.refund, terms));
        _assertGuarded(wallet);
        assertEq(address(wallet).balance, PRICE);
        assertEq(address(exchange).balance, 5 ether);
    }

    function test_an_owner_cannot_call_back_while_it_cancels() external {
        ReentrantWallet wallet = new ReentrantWallet();
        FairExchange.Terms memory terms = _terms();
        (terms.owner, terms.bond) = (address(wallet), BOND);
        vm.deal(address(wallet), BOND);
        _offer(terms);
        _offerAnother(5 ether);
        wallet.plan(address(exchange), abi.encodeCall(exchange.cancel, terms), false);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.cancel, terms));
        _assertGuarded(wallet);
        assertEq(address(wallet).balance, BOND);
        assertEq(address(exchange).balance, 5 ether);
    }

    /// @dev `reveal` moves no money and is not guarded: an owner may reveal for one sale while another pays it.
    function test_a_key_can_be_revealed_while_another_sale_pays() external {
        (ReentrantWallet wallet, FairExchange.Terms memory terms) = _reentrantOwner();
        FairExchange.Terms memory other = _terms();
        (other.owner, other.nonce) = (address(wallet), 1);
        _take(other, FairExchange.State.Accepted);
        wallet.plan(address(exchange), abi.encodeCall(exchange.reveal, (other, KEY)), false);
        vm.prank(recipient);
        exchange.settle(terms);
        assertTrue(wallet.succeeded());
        _assertState(terms, FairExchange.State.Settled);
        _assertState(other, FairExchange.State.Revealed);
        assertEq(address(wallet).balance, PRICE);
        assertEq(address(exchange).balance, PRICE);
    }

    /// @dev A token that tells the payer of a transfer while it happens: the payment is on its way, the sale accepted.
    function test_a_token_that_calls_its_payer_lets_it_do_nothing() external {
        (HookToken hooks, ReentrantWallet wallet) = _hooked();
        FairExchange.Terms memory terms = _terms();
        terms.recipient = address(wallet);
        _offer(terms);
        bytes[] memory calls = _guardedCalls();
        for (uint256 i = 0; i < calls.length; ++i) {
            uint256 before = vm.snapshotState();
            wallet.plan(address(exchange), calls[i], false);
            wallet.call(address(exchange), 0, abi.encodeCall(exchange.accept, terms));
            _assertGuarded(wallet);
            _assertState(terms, FairExchange.State.Accepted);
            assertEq(hooks.balanceOf(address(exchange)), PRICE);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_a_token_that_calls_its_receiver_lets_it_do_nothing() external {
        (HookToken hooks, ReentrantWallet wallet) = _hooked();
        FairExchange.Terms memory terms = _terms();
        terms.owner = address(wallet);
        hooks.mint(recipient, PRICE);
        vm.prank(recipient);
        hooks.approve(address(exchange), PRICE);
        _take(terms, FairExchange.State.Revealed);
        wallet.plan(address(exchange), abi.encodeCall(exchange.settle, terms), false);
        uint256 had = hooks.balanceOf(address(wallet));
        vm.prank(recipient);
        exchange.settle(terms);
        _assertGuarded(wallet);
        assertEq(hooks.balanceOf(address(wallet)), had + PRICE);
        assertEq(hooks.balanceOf(address(exchange)), 0);
    }

    /// @dev One contract for both sides, which pays twice within one payment: what comes in is counted, and is too much.
    function test_a_payment_that_hides_another_is_refused() external {
        (HookToken hooks, ReentrantWallet wallet) = _hooked();
        FairExchange.Terms memory terms = _terms();
        terms.recipient = address(wallet);
        _offer(terms);
        wallet.plan(address(hooks), abi.encodeCall(hooks.transfer, (address(exchange), 1)), false);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, PRICE));
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.accept, terms));
    }

    // --- Tokens ---

    function test_a_token_that_takes_a_fee_is_refused() external {
        FeeToken fees = new FeeToken();
        fees.setFee(true);
        _useToken(fees);
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, BOND));
        _offer(terms);
        terms.bond = 0;
        _offer(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, PRICE));
        _accept(terms);
        _assertState(terms, FairExchange.State.Offered);
    }

    /// @dev A token whose fee begins after it was paid in: its receiver bears it, and no other sale.
    function test_a_fee_that_begins_later_is_borne_by_its_receiver() external {
        FeeToken fees = new FeeToken();
        _useToken(fees);
        FairExchange.Terms memory terms = _terms();
        FairExchange.Terms memory other = _terms();
        other.nonce = 1;
        _take(terms, FairExchange.State.Revealed);
        _take(other, FairExchange.State.Accepted);
        fees.setFee(true);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(fees.balanceOf(owner), PURSE + PRICE - PRICE / 100);
        assertEq(fees.balanceOf(address(exchange)), PRICE);
    }

    function test_a_token_without_code_is_refused() external {
        token = makeAddr("no token");
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        vm.expectRevert();
        _offer(terms);
        terms.bond = 0;
        _offer(terms);
        vm.expectRevert();
        _accept(terms);
        _assertState(terms, FairExchange.State.Offered);
        vm.prank(owner);
        exchange.cancel(terms);
    }

    /// @dev Code that goes away is possible only within one transaction, but a credit must not vanish for want of it.
    function test_a_token_whose_code_is_gone_credits() external {
        token = address(erc20);
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        vm.etch(address(erc20), "");
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(exchange.creditOf(address(erc20), owner), PRICE);
        vm.expectRevert(FairExchange.TransferFailed.selector);
        vm.prank(owner);
        exchange.withdrawCredit(address(erc20), owner);
    }

    function test_a_token_that_refuses_its_receiver_blocks_no_one() external {
        BlockingToken blocking = new BlockingToken();
        _useToken(blocking);
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        blocking.setBlocked(owner, true);
        vm.prank(recipient);
        exchange.settle(terms);
        _assertState(terms, FairExchange.State.Settled);
        assertEq(exchange.creditOf(token, owner), PRICE);
        vm.startPrank(owner);
        vm.expectRevert(FairExchange.TransferFailed.selector);
        exchange.withdrawCredit(token, owner);
        exchange.withdrawCredit(token, stranger);
        assertEq(blocking.balanceOf(stranger), PURSE + PRICE);
        assertEq(blocking.balanceOf(address(exchange)), 0);
    }

    function test_a_token_that_says_no_is_not_taken_for_paid() external {
        FalseToken saying = new FalseToken();
        _useToken(saying);
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        saying.setRefusing(true);
        vm.expectRevert();
        _accept(terms);
        saying.setRefusing(false);
        _accept(terms);
        _reveal(terms);
        saying.setRefusing(true);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(exchange.creditOf(token, owner), PRICE);
        saying.setRefusing(false);
        vm.prank(owner);
        exchange.withdrawCredit(token, owner);
        assertEq(saying.balanceOf(owner), PURSE + PRICE);
    }

    function test_a_token_that_returns_nothing_pays() external {
        SilentToken silent = new SilentToken();
        token = address(silent);
        address[2] memory parties = [owner, recipient];
        for (uint256 i = 0; i < 2; ++i) {
            silent.mint(parties[i], PURSE);
            vm.prank(parties[i]);
            silent.approve(address(exchange), PURSE);
        }
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Settled);
        assertEq(silent.balanceOf(owner), PURSE + PRICE);
        assertEq(silent.balanceOf(address(exchange)), 0);
    }

    /// @dev What is credited in one token cannot be taken in another, nor in coin.
    function test_a_worthless_token_buys_no_other() external {
        BlockingToken worthless = new BlockingToken();
        _useToken(worthless);
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        worthless.setBlocked(owner, true);
        vm.prank(recipient);
        exchange.settle(terms);
        _offerAnother(5 ether);
        vm.startPrank(owner);
        vm.expectRevert(FairExchange.NoCredit.selector);
        exchange.withdrawCredit(COIN, owner);
        vm.expectRevert(FairExchange.NoCredit.selector);
        exchange.withdrawCredit(address(erc20), owner);
        assertEq(address(exchange).balance, 5 ether);
    }

    // --- Parts ---

    function _refuseComplaint(FairExchange.Terms memory terms, Complaint memory c, bytes4 reason) private {
        vm.expectRevert(reason);
        _complain(terms, c);
        _assertState(terms, FairExchange.State.Revealed);
    }

    function _revealed() private returns (Package memory package, FairExchange.Terms memory terms) {
        package = Packages.make(KEY, CHUNKS);
        terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
    }

    function _reentrantOwner() private returns (ReentrantWallet wallet, FairExchange.Terms memory terms) {
        wallet = new ReentrantWallet();
        terms = _terms();
        terms.owner = address(wallet);
        _take(terms, FairExchange.State.Revealed);
    }

    /// @dev A token with hooks for the sales of this test, and a wallet that has some and is told of its transfers.
    function _hooked() private returns (HookToken hooks, ReentrantWallet wallet) {
        hooks = new HookToken();
        _useToken(hooks);
        wallet = new ReentrantWallet();
        hooks.mint(address(wallet), PURSE);
        wallet.call(address(hooks), 0, abi.encodeCall(hooks.setHook, true));
        wallet.call(address(hooks), 0, abi.encodeCall(hooks.approve, (address(exchange), PURSE)));
    }

    function _useToken(Token used) private {
        token = address(used);
        address[3] memory accounts = [owner, recipient, stranger];
        for (uint256 i = 0; i < accounts.length; ++i) {
            used.mint(accounts[i], PURSE);
            vm.prank(accounts[i]);
            used.approve(address(exchange), PURSE);
        }
    }

    /// @dev Money of others, for a thief to find.
    function _offerAnother(uint128 amount) private {
        FairExchange.Terms memory terms = _terms();
        (terms.owner, terms.token, terms.bond, terms.nonce) = (stranger, COIN, amount, 99);
        _offer(terms);
    }

    function _guardedCalls() private view returns (bytes[] memory calls) {
        FairExchange.Terms memory terms = _terms();
        Complaint memory c = Packages.make(KEY, CHUNKS).complaint(0);
        calls = new bytes[](7);
        calls[0] = abi.encodeCall(exchange.offer, terms);
        calls[1] = abi.encodeCall(exchange.cancel, terms);
        calls[2] = abi.encodeCall(exchange.accept, terms);
        calls[3] = abi.encodeCall(exchange.refund, terms);
        calls[4] = abi.encodeCall(exchange.settle, terms);
        calls[5] = abi.encodeCall(exchange.withdrawCredit, (COIN, stranger));
        calls[6] = abi.encodeCall(exchange.complain, (terms, KEY, 0, c.chunk, c.chunkPath, c.leaf, c.leafPath));
    }

    function _assertGuarded(ReentrantWallet wallet) private view {
        assertEq(wallet.attempts(), 1);
        assertFalse(wallet.succeeded());
        assertEq(
            wallet.result(), abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
    }

    function _gasToSettleWith(address wallet) private returns (uint256 used) {
        FairExchange.Terms memory terms = _terms();
        terms.owner = wallet;
        _take(terms, FairExchange.State.Revealed);
        bytes memory data = abi.encodeCall(exchange.settle, terms);
        vm.prank(recipient);
        used = gasleft();
        (bool success,) = address(exchange).call(data);
        used -= gasleft();
        assertTrue(success);
        _assertState(terms, FairExchange.State.Settled);
    }

    function _oneOff(bytes memory encoded, uint256 field) private pure returns (bytes memory altered) {
        altered = bytes.concat(encoded);
        altered[32 * field + 31] ^= 0x01;
    }

    function _resized(bytes32[] memory path, uint256 length) private pure returns (bytes32[] memory out) {
        out = new bytes32[](length);
        for (uint256 i = 0; i < length && i < path.length; ++i) {
            out[i] = path[i];
        }
    }

    function _eight(bytes32[] memory leaves) private pure returns (bytes32[] memory) {
        return _resized(leaves, 8);
    }

    function _pathInEight(bytes32[] memory leaves, uint64 index) private pure returns (bytes32[] memory) {
        return MerkleTree.path(_eight(leaves), index);
    }
}
