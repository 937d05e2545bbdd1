// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CommonBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {FairExchange} from "../src/FairExchange.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {Complaint, Package, Packages} from "./Package.sol";
import {ForcedEther, RefusingWallet} from "./Receivers.sol";
import {BlockingToken} from "./Tokens.sol";

/// @notice Does what owners, recipients and others may think of, in any order and at any time, and keeps its own books of
/// what must come of it. Whether a call succeeds is foretold from these, and a surprise fails the run.
contract SaleHandler is CommonBase, StdAssertions, StdCheats, StdUtils {
    using Packages for Package;

    /// @notice One sale in the books.
    /// @param paidToOwner What its owner really got out of the exchange through calls about this sale.
    /// @param paidToRecipient The same of its recipient.
    struct Kept {
        FairExchange.Terms terms;
        FairExchange.State state;
        uint64 deadline;
        bool cheats;
        uint256 paidToOwner;
        uint256 paidToRecipient;
    }

    uint256 public constant PURSE = 1e9 ether;
    address internal constant COIN = address(0);
    bytes32 internal constant KEY = keccak256("key");

    FairExchange public immutable exchange;
    BlockingToken public immutable token;
    // Two ordinary accounts and two wallets that refuse coin at times; any may be owner or recipient, or both.
    address[4] public parties;
    address[2] public strangers;

    Kept[] internal _sales;
    mapping(address asset => mapping(address account => uint256)) public wealth;
    mapping(address asset => mapping(address account => uint256)) public credit;
    mapping(address asset => uint256) public escrow;
    mapping(address asset => uint256) public forced;
    mapping(bytes32 what => uint256) public counted;

    // A package of two chunks, and one of which the second is wrong.
    bytes32 internal immutable _packageRoot;
    bytes32 internal immutable _rightCipherRoot;
    bytes32 internal immutable _wrongCipherRoot;
    mapping(bool cheats => mapping(uint64 index => bytes)) internal _complaints;

    constructor(FairExchange exchange_) {
        exchange = exchange_;
        token = new BlockingToken();
        parties = [makeAddr("a"), makeAddr("b"), address(new RefusingWallet()), address(new RefusingWallet())];
        strangers = [makeAddr("stranger"), address(new RefusingWallet())];
        for (uint256 i = 0; i < 4; ++i) {
            _endow(parties[i]);
        }
        _endow(strangers[0]);
        _endow(strangers[1]);

        Package memory package = Packages.make(KEY, 2);
        _packageRoot = MerkleTree.root(package.leaves);
        _rightCipherRoot = MerkleTree.root(package.cipherLeaves);
        _complaints[false][0] = abi.encode(package.complaint(0));
        _complaints[false][1] = abi.encode(package.complaint(1));
        package.chunks[1] = Packages.noise("wrong");
        package.cipherLeaves = Packages.leavesOf(package.chunks);
        _wrongCipherRoot = MerkleTree.root(package.cipherLeaves);
        _complaints[true][0] = abi.encode(package.complaint(0));
        _complaints[true][1] = abi.encode(package.complaint(1));
    }

    // --- What the parties do ---

    function offer(uint256 who, bool inToken, uint128 price, uint128 bond, uint32 windows, bool cheats) external {
        FairExchange.Terms memory terms;
        terms.owner = parties[who % 4];
        terms.recipient = parties[(who >> 8) % 4];
        terms.packageRoot = _packageRoot;
        terms.cipherRoot = cheats ? _wrongCipherRoot : _rightCipherRoot;
        terms.keyCommitment = keccak256(abi.encode(KEY));
        terms.size = 2000;
        terms.token = inToken ? address(token) : COIN;
        terms.price = price % 100 ether;
        // One in four is without a bond.
        terms.bond = (who >> 16) % 4 == 0 ? 0 : bond % 100 ether;
        terms.openUntil = uint64(_now() + (windows >> 8) % 10 days);
        terms.revealWindow = 1 hours + windows % 3 days;
        terms.complaintWindow = 1 hours + (windows >> 4) % 3 days;
        terms.nonce = _sales.length;

        Kept storage kept = _sales.push();
        kept.terms = terms;
        kept.cheats = cheats;
        bytes memory result = _succeed(kept, terms.owner, terms.bond, abi.encodeCall(exchange.offer, terms));
        assertEq(abi.decode(result, (bytes32)), exchange.saleId(terms));
        _pay(terms.token, terms.owner, terms.bond);
        _move(kept, FairExchange.State.Offered, terms.openUntil);
    }

    function accept(uint256 which) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Offered);
        if (!found) return;
        FairExchange.Terms memory terms = kept.terms;
        bytes memory data = abi.encodeCall(exchange.accept, terms);
        if (_now() > terms.openUntil) return _fail(kept, terms.recipient, terms.price, data);
        _succeed(kept, terms.recipient, terms.price, data);
        _pay(terms.token, terms.recipient, terms.price);
        _move(kept, FairExchange.State.Accepted, uint64(_now()) + terms.revealWindow);
    }

    function cancel(uint256 which) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Offered);
        if (!found) return;
        _succeed(kept, kept.terms.owner, 0, abi.encodeCall(exchange.cancel, kept.terms));
        _end(kept, FairExchange.State.Cancelled, kept.terms.owner, kept.terms.bond);
    }

    function reveal(uint256 which) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Accepted);
        if (!found) return;
        if (_now() > kept.deadline) ++counted["late reveal"];
        _succeed(kept, kept.terms.owner, 0, abi.encodeCall(exchange.reveal, (kept.terms, KEY)));
        _move(kept, FairExchange.State.Revealed, uint64(_now()) + kept.terms.complaintWindow);
    }

    function refund(uint256 which) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Accepted);
        if (!found) return;
        bytes memory data = abi.encodeCall(exchange.refund, kept.terms);
        if (_now() <= kept.deadline) return _fail(kept, kept.terms.recipient, 0, data);
        ++counted["time-out"];
        _succeed(kept, kept.terms.recipient, 0, data);
        _end(kept, FairExchange.State.Refunded, kept.terms.recipient, _stake(kept));
    }

    function complain(uint256 which, uint256 who, bool second) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Revealed);
        if (!found) return;
        address caller = who % 3 == 0 ? kept.terms.recipient : who % 3 == 1 ? parties[(who >> 8) % 4] : strangers[0];
        bytes memory data = _complaintCall(kept, second ? 1 : 0);
        if (!kept.cheats || !second) return _fail(kept, caller, 0, data);
        ++counted["complaint"];
        _succeed(kept, caller, 0, data);
        _end(kept, FairExchange.State.Refunded, kept.terms.recipient, _stake(kept));
    }

    function settle(uint256 which, bool byOwner) external {
        (bool found, Kept storage kept) = _pick(which, FairExchange.State.Revealed);
        if (!found) return;
        address caller = byOwner ? kept.terms.owner : kept.terms.recipient;
        bytes memory data = abi.encodeCall(exchange.settle, kept.terms);
        if (caller != kept.terms.recipient && _now() <= kept.deadline) return _fail(kept, caller, 0, data);
        ++counted[byOwner ? bytes32("settled by owner") : bytes32("settled by recipient")];
        _succeed(kept, caller, 0, data);
        _end(kept, FairExchange.State.Settled, kept.terms.owner, _stake(kept));
    }

    function withdrawCredit(uint256 who, uint256 to, bool inToken) external {
        address asset = inToken ? address(token) : COIN;
        address account = parties[who % 4];
        // Whoever has one, if the first does not.
        for (uint256 i = 0; i < 4 && credit[asset][account] == 0; ++i) {
            account = parties[(who % 4 + i) % 4];
        }
        address receiver = parties[to % 4];
        uint256 amount = credit[asset][account];
        vm.prank(account);
        (bool success,) = address(exchange).call(abi.encodeCall(exchange.withdrawCredit, (asset, receiver)));
        assertEq(success, amount > 0 && _takes(asset, receiver), "withdrawal");
        if (!success) return;
        ++counted["withdrawal"];
        credit[asset][account] = 0;
        wealth[asset][account] -= amount;
        wealth[asset][receiver] += amount;
    }

    // --- What happens to them ---

    function changeMind(uint256 who, bool inToken, bool takes) external {
        if (inToken) token.setBlocked(parties[who % 4], !takes);
        else RefusingWallet(payable(parties[2 + who % 2])).setTaking(takes);
    }

    function pass(uint32 time) external {
        skip(time % 2 days);
    }

    function force(uint128 amount, bool inToken) external {
        amount = amount % 10 ether;
        if (inToken) {
            token.mint(address(exchange), amount);
        } else {
            vm.deal(address(this), amount);
            new ForcedEther{value: amount}(payable(address(exchange)));
        }
        forced[inToken ? address(token) : COIN] += amount;
    }

    // --- What nobody may do ---

    /// @dev A stranger calls anything, about any sale.
    function meddle(uint256 which, uint256 how, bool contract_) external {
        if (_sales.length == 0) return;
        Kept storage kept = _sales[which % _sales.length];
        address caller = strangers[contract_ ? 1 : 0];
        (uint256 value, bytes memory data) = _anyCall(kept, how);
        // A true complaint is anybody's right.
        if (how % 7 == 6) data = _complaintCall(kept, 0);
        _fail(kept, caller, value, data);
        vm.prank(caller);
        (bool success,) = address(exchange).call(abi.encodeCall(exchange.withdrawCredit, (kept.terms.token, caller)));
        assertFalse(success, "stranger's credit");
    }

    /// @dev A party calls again what ended its sale, or anything else, about a sale that is over.
    function repeat(uint256 which, uint256 how, bool byOwner) external {
        for (uint8 state = uint8(FairExchange.State.Settled); state <= uint8(FairExchange.State.Cancelled); ++state) {
            (bool found, Kept storage kept) = _pick(which, FairExchange.State(state));
            if (!found) continue;
            (uint256 value, bytes memory data) = _anyCall(kept, how);
            _fail(kept, byOwner ? kept.terms.owner : kept.terms.recipient, value, data);
        }
    }

    // --- What the invariants ask ---

    function sales() external view returns (Kept[] memory) {
        return _sales;
    }

    // --- Parts ---

    function _endow(address account) private {
        vm.deal(account, PURSE);
        token.mint(account, PURSE);
        vm.prank(account);
        token.approve(address(exchange), type(uint256).max);
        (wealth[COIN][account], wealth[address(token)][account]) = (PURSE, PURSE);
    }

    /// @dev The first sale in a state, from one that is drawn.
    function _pick(uint256 which, FairExchange.State state) private view returns (bool, Kept storage kept) {
        uint256 count = _sales.length;
        for (uint256 i = 0; i < count; ++i) {
            kept = _sales[(which % count + i) % count];
            if (kept.state == state) return (true, kept);
        }
        // Nothing is read of it.
        assembly {
            kept.slot := 0
        }
        return (false, kept);
    }

    function _succeed(Kept storage kept, address caller, uint256 value, bytes memory data)
        private
        returns (bytes memory result)
    {
        bool success;
        (success, result) = _call(kept, caller, value, data);
        assertTrue(success, "a call that must succeed");
        ++counted["success"];
    }

    function _fail(Kept storage kept, address caller, uint256 value, bytes memory data) private {
        (bool success,) = _call(kept, caller, value, data);
        assertFalse(success, "a call that must fail");
        ++counted["failure"];
    }

    /// @dev Calls, and adds what the parties really got to what the sale paid them.
    function _call(Kept storage kept, address caller, uint256 value, bytes memory data)
        private
        returns (bool success, bytes memory result)
    {
        address asset = kept.terms.token;
        uint256 owners = _has(asset, kept.terms.owner);
        uint256 recipients = _has(asset, kept.terms.recipient);
        vm.prank(caller);
        (success, result) = address(exchange).call{value: asset == COIN ? value : 0}(data);
        uint256 ownersNow = _has(asset, kept.terms.owner);
        uint256 recipientsNow = _has(asset, kept.terms.recipient);
        if (ownersNow > owners) kept.paidToOwner += ownersNow - owners;
        if (recipientsNow > recipients) kept.paidToRecipient += recipientsNow - recipients;
    }

    function _has(address asset, address account) private view returns (uint256) {
        uint256 balance = asset == COIN ? account.balance : token.balanceOf(account);
        return balance + exchange.creditOf(asset, account);
    }

    function _pay(address asset, address account, uint256 amount) private {
        wealth[asset][account] -= amount;
        escrow[asset] += amount;
    }

    function _move(Kept storage kept, FairExchange.State state, uint64 deadline) private {
        (kept.state, kept.deadline) = (state, deadline);
        ++counted[keccak256(abi.encode(state, kept.terms.token == COIN))];
    }

    function _end(Kept storage kept, FairExchange.State state, address receiver, uint256 amount) private {
        address asset = kept.terms.token;
        escrow[asset] -= amount;
        wealth[asset][receiver] += amount;
        if (amount > 0 && !_takes(asset, receiver)) {
            credit[asset][receiver] += amount;
            ++counted[asset == COIN ? bytes32("credit in coin") : bytes32("credit in token")];
        }
        _move(kept, state, 0);
    }

    function _takes(address asset, address account) private view returns (bool) {
        if (asset != COIN) return !token.isBlocked(account);
        return account.code.length == 0 || RefusingWallet(payable(account)).takes();
    }

    function _anyCall(Kept storage kept, uint256 how) private view returns (uint256 value, bytes memory data) {
        FairExchange.Terms memory terms = kept.terms;
        how %= 7;
        if (how == 0) return (terms.bond, abi.encodeCall(exchange.offer, terms));
        if (how == 1) return (terms.price, abi.encodeCall(exchange.accept, terms));
        if (how == 2) return (0, abi.encodeCall(exchange.cancel, terms));
        if (how == 3) return (0, abi.encodeCall(exchange.reveal, (terms, KEY)));
        if (how == 4) return (0, abi.encodeCall(exchange.refund, terms));
        if (how == 5) return (0, abi.encodeCall(exchange.settle, terms));
        return (0, _complaintCall(kept, 1));
    }

    function _complaintCall(Kept storage kept, uint64 index) private view returns (bytes memory) {
        Complaint memory c = abi.decode(_complaints[kept.cheats][index], (Complaint));
        return abi.encodeCall(exchange.complain, (kept.terms, KEY, index, c.chunk, c.chunkPath, c.leaf, c.leafPath));
    }

    function _stake(Kept storage kept) private view returns (uint256) {
        return uint256(kept.terms.price) + kept.terms.bond;
    }

    function _now() private view returns (uint256) {
        return vm.getBlockTimestamp();
    }
}
