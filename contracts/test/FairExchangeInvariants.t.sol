// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {SaleHandler} from "./SaleHandler.sol";
import {BlockingToken} from "./Tokens.sol";

/// @notice What holds whatever owners, recipients and others do, in any order and at any time.
/// forge-config: default.invariant.fail-on-revert = true
contract FairExchangeInvariantsTest is Test {
    address private constant COIN = address(0);

    FairExchange private exchange;
    SaleHandler private handler;
    BlockingToken private token;

    function setUp() external {
        vm.warp(1_800_000_000);
        exchange = new FairExchange();
        handler = new SaleHandler(exchange);
        token = handler.token();
        targetContract(address(handler));
    }

    /// @dev To the last unit, and so it never holds less: escrow and bonds, credits, and what was forced on it.
    function invariant_it_holds_what_it_owes() public view {
        address[2] memory assets = [COIN, address(token)];
        for (uint256 a = 0; a < 2; ++a) {
            uint256 owed = 0;
            SaleHandler.Kept[] memory sales = handler.sales();
            for (uint256 i = 0; i < sales.length; ++i) {
                if (sales[i].terms.token != assets[a]) continue;
                if (_isLive(sales[i].state)) owed += sales[i].terms.bond;
                if (_isLive(sales[i].state) && sales[i].state != FairExchange.State.Offered) {
                    owed += sales[i].terms.price;
                }
            }
            assertEq(handler.escrow(assets[a]), owed, "books");
            for (uint256 i = 0; i < 4; ++i) {
                owed += exchange.creditOf(assets[a], handler.parties(i));
            }
            assertEq(_balance(assets[a], address(exchange)), owed + handler.forced(assets[a]), "holds");
        }
    }

    function invariant_a_sale_pays_exactly_one_side_exactly_once() public view {
        SaleHandler.Kept[] memory sales = handler.sales();
        for (uint256 i = 0; i < sales.length; ++i) {
            FairExchange.Terms memory terms = sales[i].terms;
            uint256 toOwner = 0;
            uint256 toRecipient = 0;
            if (sales[i].state == FairExchange.State.Settled) toOwner = uint256(terms.price) + terms.bond;
            if (sales[i].state == FairExchange.State.Cancelled) toOwner = terms.bond;
            if (sales[i].state == FairExchange.State.Refunded) toRecipient = uint256(terms.price) + terms.bond;
            // Who sells to itself is both sides.
            if (terms.owner == terms.recipient) {
                (toOwner, toRecipient) = (toOwner + toRecipient, toOwner + toRecipient);
            }
            assertEq(sales[i].paidToOwner, toOwner, "paid to owner");
            assertEq(sales[i].paidToRecipient, toRecipient, "paid to recipient");
        }
    }

    function invariant_a_sale_is_in_the_state_that_the_protocol_says() public view {
        SaleHandler.Kept[] memory sales = handler.sales();
        for (uint256 i = 0; i < sales.length; ++i) {
            FairExchange.Sale memory sale = exchange.sale(exchange.saleId(sales[i].terms));
            assertEq(uint8(sale.state), uint8(sales[i].state), "state");
            assertEq(sale.deadline, sales[i].deadline, "deadline");
        }
    }

    /// @dev From each live sale, some party that only waits and calls once ends it.
    function invariant_no_state_is_without_a_way_out() public {
        SaleHandler.Kept[] memory sales = handler.sales();
        uint256 before = vm.snapshotState();
        skip(3650 days);
        for (uint256 i = 0; i < sales.length; ++i) {
            FairExchange.Terms memory terms = sales[i].terms;
            if (!_isLive(sales[i].state)) continue;
            if (sales[i].state == FairExchange.State.Offered) {
                vm.prank(terms.owner);
                exchange.cancel(terms);
            } else if (sales[i].state == FairExchange.State.Accepted) {
                vm.prank(terms.recipient);
                exchange.refund(terms);
            } else {
                vm.prank(terms.owner);
                exchange.settle(terms);
            }
            assertFalse(_isLive(exchange.sale(exchange.saleId(terms)).state), "ended");
        }
        assertTrue(vm.revertToStateAndDelete(before));
    }

    /// @dev Each party has, with its credits, what the books say, and a third account what it had.
    function invariant_no_third_account_ever_gains() public view {
        address[2] memory assets = [COIN, address(token)];
        for (uint256 a = 0; a < 2; ++a) {
            for (uint256 i = 0; i < 4; ++i) {
                address party = handler.parties(i);
                uint256 credit = exchange.creditOf(assets[a], party);
                assertEq(credit, handler.credit(assets[a], party), "credit");
                assertEq(_balance(assets[a], party) + credit, handler.wealth(assets[a], party), "party");
            }
            for (uint256 i = 0; i < 2; ++i) {
                address stranger = handler.strangers(i);
                assertEq(_balance(assets[a], stranger), handler.PURSE(), "stranger");
                assertEq(exchange.creditOf(assets[a], stranger), 0, "stranger's credit");
            }
        }
    }

    /// @dev That the runs above go everywhere is not left to chance: the same handler, driven by numbers that are the
    /// same each time, reaches every state in coin and in the token, and every way there.
    function test_the_handler_goes_everywhere() external {
        for (uint256 i = 0; i < 1500; ++i) {
            _step(uint256(keccak256(abi.encode("step", i))));
        }
        for (uint8 state = 1; state <= uint8(type(FairExchange.State).max); ++state) {
            assertGt(handler.counted(keccak256(abi.encode(state, true))), 5, "state, in coin");
            assertGt(handler.counted(keccak256(abi.encode(state, false))), 5, "state, in the token");
        }
        string[9] memory ways = [
            "late reveal",
            "time-out",
            "complaint",
            "settled by owner",
            "settled by recipient",
            "credit in coin",
            "credit in token",
            "withdrawal",
            "failure"
        ];
        for (uint256 i = 0; i < ways.length; ++i) {
            assertGt(handler.counted(bytes32(bytes(ways[i]))), 5, ways[i]);
        }
        invariant_it_holds_what_it_owes();
        invariant_a_sale_pays_exactly_one_side_exactly_once();
        invariant_a_sale_is_in_the_state_that_the_protocol_says();
        invariant_no_state_is_without_a_way_out();
        invariant_no_third_account_ever_gains();
    }

    // --- Parts ---

    function _step(uint256 random) private {
        uint256 a = random >> 8;
        bool b = (random >> 4) & 1 == 1;
        bool c = (random >> 5) & 1 == 1;
        uint256 what = random % 13;
        if (what == 0) handler.offer(a, b, uint128(a >> 32), uint128(a >> 64), uint32(a >> 96), c);
        else if (what == 1) handler.accept(a);
        else if (what == 2) handler.cancel(a);
        else if (what == 3) handler.reveal(a);
        else if (what == 4) handler.refund(a);
        else if (what == 5) handler.complain(a, a >> 32, b);
        else if (what == 6) handler.settle(a, b);
        else if (what == 7) handler.withdrawCredit(a, a >> 32, b);
        else if (what == 8) handler.changeMind(a, b, c);
        else if (what == 9) handler.pass(uint32(a));
        else if (what == 10) handler.force(uint128(a), b);
        else if (what == 11) handler.meddle(a, a >> 32, b);
        else handler.repeat(a, a >> 32, b);
    }

    function _isLive(FairExchange.State state) private pure returns (bool) {
        return state == FairExchange.State.Offered || state == FairExchange.State.Accepted
            || state == FairExchange.State.Revealed;
    }

    function _balance(address asset, address account) private view returns (uint256) {
        return asset == COIN ? account.balance : token.balanceOf(account);
    }
}
