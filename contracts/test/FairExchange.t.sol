// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {FairExchangeFixture} from "./FairExchangeFixture.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Complaint, Package, Packages} from "./Package.sol";
import {RefusingWallet} from "./Receivers.sol";
import {Token} from "./Tokens.sol";

/// @notice What each function does and refuses.
contract FairExchangeTest is FairExchangeFixture {
    using Packages for Package;

    // --- offer ---

    function test_an_offer_takes_the_bond_and_can_be_read() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        bytes32 id = exchange.saleId(terms);
        vm.expectEmit(address(exchange));
        emit FairExchange.Offered(id, owner, recipient, terms);
        assertEq(_offer(terms), id);
        FairExchange.Sale memory sale = exchange.sale(id);
        assertEq(uint8(sale.state), uint8(FairExchange.State.Offered));
        assertEq(sale.deadline, terms.openUntil);
        _assertHeld(PURSE - bond, PURSE);
    }

    function test_only_the_owner_offers() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        vm.expectRevert(FairExchange.NotTheOwner.selector);
        vm.prank(recipient);
        exchange.offer(terms);
    }

    function test_an_empty_package_is_not_offered() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        terms.size = 0;
        _refuseOffer(terms, FairExchange.EmptyPackage.selector);
    }

    function test_windows_lie_between_an_hour_and_ninety_days() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        uint32 least = exchange.MIN_WINDOW();
        uint32 greatest = exchange.MAX_WINDOW();
        assertEq(least, 1 hours);
        assertEq(greatest, 90 days);
        (terms.revealWindow, terms.complaintWindow) = (least - 1, greatest);
        _refuseOffer(terms, FairExchange.WindowOutOfRange.selector);
        (terms.revealWindow, terms.complaintWindow) = (greatest + 1, least);
        _refuseOffer(terms, FairExchange.WindowOutOfRange.selector);
        (terms.revealWindow, terms.complaintWindow) = (greatest, least - 1);
        _refuseOffer(terms, FairExchange.WindowOutOfRange.selector);
        (terms.revealWindow, terms.complaintWindow) = (least, greatest + 1);
        _refuseOffer(terms, FairExchange.WindowOutOfRange.selector);
        (terms.revealWindow, terms.complaintWindow) = (least, greatest);
        _offer(terms);
        (terms.revealWindow, terms.complaintWindow) = (greatest, least);
        _offer(terms);
    }

    function test_an_offer_can_be_open_until_this_second_but_not_until_the_last() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        terms.openUntil = uint64(START - 1);
        _refuseOffer(terms, FairExchange.OfferExpired.selector);
        terms.openUntil = uint64(START);
        _offer(terms);
    }

    function test_an_offer_with_another_bond_in_coin_is_refused() external {
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, BOND));
        exchange.offer{value: BOND - 1}(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, BOND));
        exchange.offer{value: BOND + 1}(terms);
        terms.bond = 0;
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, 0));
        exchange.offer{value: 1}(terms);
    }

    function test_coin_is_not_taken_where_a_token_is_due() external {
        token = address(erc20);
        FairExchange.Terms memory terms = _terms();
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, 0));
            vm.prank(owner);
            exchange.offer{value: 1}(terms);
            terms.bond = BOND;
        }
        _offer(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, 0));
        vm.prank(recipient);
        exchange.accept{value: PRICE}(terms);
    }

    function test_a_token_that_was_not_allowed_is_not_taken() external {
        token = address(erc20);
        bond = BOND;
        FairExchange.Terms memory terms = _terms();
        vm.startPrank(owner);
        erc20.approve(address(exchange), BOND - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(exchange), uint256(BOND - 1), uint256(BOND)
            )
        );
        exchange.offer(terms);
        erc20.approve(address(exchange), BOND);
        exchange.offer(terms);
    }

    // --- cancel ---

    function test_a_cancelled_offer_gives_the_bond_back() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.expectEmit(address(exchange));
        emit FairExchange.Cancelled(exchange.saleId(terms));
        vm.prank(owner);
        exchange.cancel(terms);
        _assertEnded(terms, FairExchange.State.Cancelled);
        _assertHeld(PURSE, PURSE);
    }

    function test_an_offer_that_nobody_accepted_in_time_can_still_be_cancelled() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.warp(type(uint64).max);
        vm.prank(owner);
        exchange.cancel(terms);
        _assertHeld(PURSE, PURSE);
    }

    function test_only_the_owner_cancels() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.expectRevert(FairExchange.NotTheOwner.selector);
        vm.prank(recipient);
        exchange.cancel(terms);
    }

    // --- accept ---

    function test_an_acceptance_takes_the_price_and_starts_the_owners_time() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        skip(1 hours);
        uint64 deadline = uint64(START + 1 hours + terms.revealWindow);
        vm.expectEmit(address(exchange));
        emit FairExchange.Accepted(exchange.saleId(terms), deadline);
        _accept(terms);
        _assertState(terms, FairExchange.State.Accepted);
        assertEq(exchange.sale(exchange.saleId(terms)).deadline, deadline);
        _assertHeld(PURSE - bond, PURSE - PRICE);
    }

    function test_only_the_recipient_accepts() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.expectRevert(FairExchange.NotTheRecipient.selector);
        vm.prank(stranger);
        exchange.accept{value: token == COIN ? PRICE : 0}(terms);
    }

    function test_an_offer_is_open_to_its_last_second() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.warp(uint256(terms.openUntil) + 1);
        vm.expectRevert(FairExchange.OfferExpired.selector);
        vm.prank(recipient);
        exchange.accept{value: token == COIN ? PRICE : 0}(terms);
        vm.warp(terms.openUntil);
        _accept(terms);
    }

    function test_an_acceptance_with_another_price_in_coin_is_refused() external {
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.startPrank(recipient);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, PRICE));
        exchange.accept{value: PRICE - 1}(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, PRICE));
        exchange.accept{value: PRICE + 1}(terms);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.WrongPayment.selector, PRICE));
        exchange.accept(terms);
    }

    function test_a_recipient_without_the_price_in_the_token_cannot_accept() external {
        token = address(erc20);
        FairExchange.Terms memory terms = _terms();
        _offer(terms);
        vm.startPrank(recipient);
        assertTrue(erc20.transfer(stranger, PURSE - PRICE + 1));
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientBalance.selector, recipient, uint256(PRICE - 1), uint256(PRICE)
            )
        );
        exchange.accept(terms);
    }

    // --- reveal ---

    function test_a_revealed_key_is_told_and_starts_the_recipients_time() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(2 hours);
        uint64 deadline = uint64(START + 2 hours + terms.complaintWindow);
        vm.expectEmit(address(exchange));
        emit FairExchange.Revealed(exchange.saleId(terms), KEY, deadline);
        _reveal(terms);
        _assertState(terms, FairExchange.State.Revealed);
        assertEq(exchange.sale(exchange.saleId(terms)).deadline, deadline);
        _assertHeld(PURSE - bond, PURSE - PRICE);
    }

    function test_only_the_owner_reveals() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        vm.expectRevert(FairExchange.NotTheOwner.selector);
        vm.prank(stranger);
        exchange.reveal(terms, KEY);
    }

    function testFuzz_a_key_that_was_not_committed_to_is_refused(bytes32 key) external {
        vm.assume(key != KEY);
        FairExchange.Terms memory terms = _plainTerms();
        _take(terms, FairExchange.State.Accepted);
        vm.expectRevert(FairExchange.WrongKey.selector);
        vm.prank(owner);
        exchange.reveal(terms, key);
    }

    // --- refund ---

    function test_a_refund_gives_the_price_back_and_the_bond_on_top() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(uint256(terms.revealWindow) + 1);
        vm.expectEmit(address(exchange));
        emit FairExchange.Refunded(exchange.saleId(terms));
        vm.prank(recipient);
        exchange.refund(terms);
        _assertEnded(terms, FairExchange.State.Refunded);
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    function test_the_owners_time_lasts_to_its_last_second() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(terms.revealWindow);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.TooEarly.selector, uint64(START + terms.revealWindow)));
        vm.prank(recipient);
        exchange.refund(terms);
    }

    function test_only_the_recipient_takes_a_refund() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Accepted);
        skip(uint256(terms.revealWindow) + 1);
        vm.expectRevert(FairExchange.NotTheRecipient.selector);
        vm.prank(stranger);
        exchange.refund(terms);
    }

    // --- complain ---

    function test_a_wrong_chunk_gives_the_price_back_and_the_bond_on_top() external inEveryKind {
        for (uint64 index = 0; index < CHUNKS; ++index) {
            uint256 before = vm.snapshotState();
            Package memory package = _cheatingPackage(index);
            FairExchange.Terms memory terms = _termsOf(package);
            _take(terms, FairExchange.State.Revealed);
            vm.expectEmit(address(exchange));
            emit FairExchange.Complained(exchange.saleId(terms), index);
            vm.expectEmit(address(exchange));
            emit FairExchange.Refunded(exchange.saleId(terms));
            vm.prank(recipient);
            _complain(terms, package.complaint(index));
            _assertEnded(terms, FairExchange.State.Refunded);
            _assertHeld(PURSE - bond, PURSE + bond);
            assertTrue(vm.revertToState(before));
        }
    }

    function test_a_complaint_about_a_right_chunk_is_refused() external inEveryKind {
        Package memory package = Packages.make(KEY, CHUNKS);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        for (uint64 index = 0; index < CHUNKS; ++index) {
            _refuseComplaint(terms, package.complaint(index), FairExchange.ChunkIsRight.selector);
        }
    }

    function test_a_package_of_one_chunk_has_empty_paths() external inEveryKind {
        Package memory package = Packages.make(KEY, 1);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        assertEq(package.complaint(0).chunkPath.length, 0);
        _refuseComplaint(terms, package.complaint(0), FairExchange.ChunkIsRight.selector);
    }

    function test_a_complaint_is_valid_until_the_sale_is_settled() external inEveryKind {
        Package memory package = _cheatingPackage(3);
        FairExchange.Terms memory terms = _termsOf(package);
        _take(terms, FairExchange.State.Revealed);
        skip(10 * uint256(terms.complaintWindow));
        _complain(terms, package.complaint(3));
        _assertHeld(PURSE - bond, PURSE + bond);
    }

    /// @dev A chunk of any tree to the depth of 30, right or wrong, as the seed will have it.
    function testFuzz_a_complaint_succeeds_where_the_chunk_is_wrong_and_only_there(
        bytes32 seed,
        bytes32 key,
        uint64 size,
        uint64 index,
        bool wrong
    ) external {
        size = uint64(bound(size, 1, 1 << 40));
        uint64 count = (size + 1023) / 1024;
        index = index % count;
        (FairExchange.Terms memory terms, Complaint memory c) = _anySale(seed, key, size, index, wrong);
        _offer(terms);
        _accept(terms);
        vm.prank(owner);
        exchange.reveal(terms, key);
        if (!wrong) vm.expectRevert(FairExchange.ChunkIsRight.selector);
        _complain(terms, c);
        _assertState(terms, wrong ? FairExchange.State.Refunded : FairExchange.State.Revealed);
    }

    /// @dev One bit of what is proved about a wrong chunk is turned: whichever it is, the proof is none.
    function testFuzz_a_proof_with_one_bit_turned_is_refused(uint64 index, uint256 part, uint256 bit) external {
        index = uint64(bound(index, 0, 1023));
        (FairExchange.Terms memory terms, Complaint memory c) = _anySale(KEY, KEY, 1 << 20, index, true);
        _take(terms, FairExchange.State.Revealed);
        bytes4 reason = FairExchange.NotInCipherTree.selector;
        part = part % 5;
        if (part == 0) {
            c.chunk[bit % 1024] ^= bytes1(uint8(1 << (bit >> 16) % 8));
        } else if (part == 1) {
            c.chunkPath[bit % 10] ^= bytes32(1 << ((bit >> 16) % 256));
        } else if (part == 2) {
            c.index ^= uint64(1 << (bit % 64));
        } else {
            reason = FairExchange.NotInPackageTree.selector;
            if (part == 3) c.leaf ^= bytes32(1 << (bit % 256));
            else c.leafPath[bit % 10] ^= bytes32(1 << ((bit >> 16) % 256));
        }
        _refuseComplaint(terms, c, reason);
    }

    // --- settle ---

    function test_the_recipient_settles_at_any_time() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        vm.expectEmit(address(exchange));
        emit FairExchange.Settled(exchange.saleId(terms));
        vm.prank(recipient);
        exchange.settle(terms);
        _assertEnded(terms, FairExchange.State.Settled);
        _assertHeld(PURSE + PRICE, PURSE - PRICE);
    }

    function test_the_owner_settles_after_the_window() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        skip(terms.complaintWindow);
        vm.expectRevert(abi.encodeWithSelector(FairExchange.TooEarly.selector, uint64(START + terms.complaintWindow)));
        vm.prank(owner);
        exchange.settle(terms);
        skip(1);
        vm.prank(owner);
        exchange.settle(terms);
        _assertEnded(terms, FairExchange.State.Settled);
        _assertHeld(PURSE + PRICE, PURSE - PRICE);
    }

    function test_nobody_else_settles() external inEveryKind {
        FairExchange.Terms memory terms = _terms();
        _take(terms, FairExchange.State.Revealed);
        skip(365 days);
        vm.expectRevert(FairExchange.NotAParty.selector);
        vm.prank(stranger);
        exchange.settle(terms);
    }

    // --- withdrawCredit ---

    function test_a_credit_can_be_taken_once_and_to_any_account() external {
        (FairExchange.Terms memory terms, RefusingWallet wallet) = _creditedOwner();
        bytes memory withdrawal = abi.encodeCall(exchange.withdrawCredit, (COIN, stranger));
        vm.expectEmit(address(exchange));
        emit FairExchange.CreditWithdrawn(address(wallet), COIN, terms.price, stranger);
        wallet.call(address(exchange), 0, withdrawal);
        assertEq(stranger.balance, PURSE + PRICE);
        assertEq(exchange.creditOf(COIN, address(wallet)), 0);
        assertEq(address(exchange).balance, 0);
        vm.expectRevert(FairExchange.NoCredit.selector);
        wallet.call(address(exchange), 0, withdrawal);
    }

    function test_a_credit_stays_where_its_withdrawal_fails() external {
        (, RefusingWallet wallet) = _creditedOwner();
        vm.expectRevert(FairExchange.TransferFailed.selector);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.withdrawCredit, (COIN, address(wallet))));
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
        wallet.setTaking(true);
        wallet.call(address(exchange), 0, abi.encodeCall(exchange.withdrawCredit, (COIN, address(wallet))));
        assertEq(address(wallet).balance, PRICE);
    }

    function test_who_has_no_credit_withdraws_none() external {
        _creditedOwner();
        vm.startPrank(stranger);
        vm.expectRevert(FairExchange.NoCredit.selector);
        exchange.withdrawCredit(COIN, stranger);
        vm.expectRevert(FairExchange.NoCredit.selector);
        exchange.withdrawCredit(address(erc20), stranger);
    }

    // --- The states, and the whole of it ---

    /// @dev Every function in every state, when all windows are over: it succeeds in its own and says so in the others.
    function test_only_the_transitions_of_the_design_are_possible() external inEveryKind {
        Package memory package = _cheatingPackage(2);
        FairExchange.Terms memory terms = _termsOf(package);
        for (uint8 state = 0; state <= uint8(type(FairExchange.State).max); ++state) {
            uint256 before = vm.snapshotState();
            _take(terms, FairExchange.State(state));
            skip(100 days);
            _assertTransition(state, FairExchange.State.None, owner, bond, abi.encodeCall(exchange.offer, terms));
            _assertTransition(state, FairExchange.State.Offered, owner, 0, abi.encodeCall(exchange.cancel, terms));
            _assertTransition(
                state, FairExchange.State.Offered, recipient, PRICE, abi.encodeCall(exchange.accept, terms)
            );
            _assertTransition(
                state, FairExchange.State.Accepted, owner, 0, abi.encodeCall(exchange.reveal, (terms, KEY))
            );
            _assertTransition(state, FairExchange.State.Accepted, recipient, 0, abi.encodeCall(exchange.refund, terms));
            _assertTransition(state, FairExchange.State.Revealed, recipient, 0, _complaintCall(terms, package));
            _assertTransition(state, FairExchange.State.Revealed, owner, 0, abi.encodeCall(exchange.settle, terms));
            _assertTransition(state, FairExchange.State.Revealed, recipient, 0, abi.encodeCall(exchange.settle, terms));
            assertTrue(vm.revertToState(before));
        }
    }

    function testFuzz_an_honest_sale_pays_the_owner_whatever_the_terms(
        uint128 price,
        uint128 bond_,
        uint32 revealWindow,
        uint32 complaintWindow,
        uint32 pause,
        bool inToken,
        bool ownerSettles
    ) external {
        token = inToken ? address(erc20) : COIN;
        FairExchange.Terms memory terms = _plainTerms();
        (terms.price, terms.bond) = (price, bond_);
        terms.revealWindow = uint32(bound(revealWindow, 1 hours, 90 days));
        terms.complaintWindow = uint32(bound(complaintWindow, 1 hours, 90 days));
        _fund(owner, bond_);
        _fund(recipient, price);
        _offer(terms);
        skip(pause % 365 days);
        _accept(terms);
        skip(pause % (terms.revealWindow + 1));
        _reveal(terms);
        if (ownerSettles) skip(uint256(terms.complaintWindow) + 1);
        vm.prank(ownerSettles ? owner : recipient);
        exchange.settle(terms);
        assertEq(_held(owner), uint256(price) + bond_);
        assertEq(_held(recipient), 0);
        assertEq(_held(address(exchange)), 0);
    }

    function testFuzz_money_goes_back_only_when_the_owners_time_is_over(uint32 window, uint64 pause) external {
        FairExchange.Terms memory terms = _plainTerms();
        terms.revealWindow = uint32(bound(window, 1 hours, 90 days));
        _take(terms, FairExchange.State.Accepted);
        skip(pause % 180 days);
        bool over = pause % 180 days > terms.revealWindow;
        if (!over) {
            vm.expectRevert(abi.encodeWithSelector(FairExchange.TooEarly.selector, uint64(START + terms.revealWindow)));
        }
        vm.prank(recipient);
        exchange.refund(terms);
        _assertState(terms, over ? FairExchange.State.Refunded : FairExchange.State.Accepted);
    }

    function testFuzz_the_owner_is_paid_only_when_the_recipients_time_is_over(uint32 window, uint64 pause) external {
        FairExchange.Terms memory terms = _plainTerms();
        terms.complaintWindow = uint32(bound(window, 1 hours, 90 days));
        _take(terms, FairExchange.State.Revealed);
        skip(pause % 180 days);
        bool over = pause % 180 days > terms.complaintWindow;
        if (!over) {
            vm.expectRevert(
                abi.encodeWithSelector(FairExchange.TooEarly.selector, uint64(START + terms.complaintWindow))
            );
        }
        vm.prank(owner);
        exchange.settle(terms);
        _assertState(terms, over ? FairExchange.State.Settled : FairExchange.State.Revealed);
    }

    function test_a_sale_is_bound_to_this_contract_on_this_chain() external {
        FairExchange.Terms memory terms = _terms();
        bytes32 id = exchange.saleId(terms);
        assertEq(id, keccak256(abi.encode(terms, block.chainid, address(exchange))));
        assertNotEq(id, new FairExchange().saleId(terms));
        vm.chainId(2);
        assertNotEq(id, exchange.saleId(terms));
    }

    // --- Parts ---

    function _refuseOffer(FairExchange.Terms memory terms, bytes4 reason) private {
        vm.expectRevert(reason);
        _offer(terms);
    }

    function _refuseComplaint(FairExchange.Terms memory terms, Complaint memory c, bytes4 reason) private {
        vm.expectRevert(reason);
        _complain(terms, c);
        _assertState(terms, FairExchange.State.Revealed);
    }

    function _assertEnded(FairExchange.Terms memory terms, FairExchange.State state) private view {
        _assertState(terms, state);
        assertEq(exchange.sale(exchange.saleId(terms)).deadline, 0);
    }

    function _assertTransition(uint8 state, FairExchange.State from, address caller, uint256 value, bytes memory data)
        private
    {
        uint256 before = vm.snapshotState();
        vm.prank(caller);
        (bool success, bytes memory result) = address(exchange).call{value: token == COIN ? value : 0}(data);
        assertEq(success, state == uint8(from));
        if (!success) assertEq(result, abi.encodeWithSelector(FairExchange.WrongState.selector, state));
        assertTrue(vm.revertToState(before));
    }

    function _complaintCall(FairExchange.Terms memory terms, Package memory package)
        private
        view
        returns (bytes memory)
    {
        Complaint memory c = package.complaint(2);
        return abi.encodeCall(exchange.complain, (terms, KEY, 2, c.chunk, c.chunkPath, c.leaf, c.leafPath));
    }

    function _anySale(bytes32 seed, bytes32 key, uint64 size, uint64 index, bool wrong)
        private
        view
        returns (FairExchange.Terms memory terms, Complaint memory c)
    {
        c.key = key;
        c.index = index;
        c.chunk = Packages.noise(seed);
        c.chunkPath = _anyPath(keccak256(abi.encode(seed, 1)), (size + 1023) / 1024);
        c.leafPath = _anyPath(keccak256(abi.encode(seed, 2)), (size + 1023) / 1024);
        c.leaf =
            wrong ? keccak256(abi.encode(seed, 3)) : MerkleTree.leafHash(index, Packages.cipher(key, index, c.chunk));
        terms = _plainTerms();
        terms.size = size;
        terms.keyCommitment = keccak256(abi.encode(key));
        terms.cipherRoot = Packages.rootAbove(MerkleTree.leafHash(index, c.chunk), index, c.chunkPath);
        terms.packageRoot = Packages.rootAbove(c.leaf, index, c.leafPath);
    }

    function _anyPath(bytes32 seed, uint64 count) private pure returns (bytes32[] memory path) {
        path = new bytes32[](MerkleTree.depth(count));
        for (uint256 i = 0; i < path.length; ++i) {
            path[i] = keccak256(abi.encode(seed, i));
        }
    }

    function _fund(address account, uint256 amount) private {
        if (token == COIN) vm.deal(account, amount);
        else deal(token, account, amount);
    }

    /// @dev A sale whose owner does not take the payment.
    function _creditedOwner() private returns (FairExchange.Terms memory terms, RefusingWallet wallet) {
        wallet = new RefusingWallet();
        terms = _terms();
        terms.owner = address(wallet);
        _take(terms, FairExchange.State.Revealed);
        vm.expectEmit(address(exchange));
        emit FairExchange.Credited(address(wallet), COIN, PRICE);
        vm.prank(recipient);
        exchange.settle(terms);
        assertEq(exchange.creditOf(COIN, address(wallet)), PRICE);
    }
}
