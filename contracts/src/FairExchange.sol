// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Keystream} from "./Keystream.sol";
import {MerklePath} from "./MerklePath.sol";

/// @title A sale in which neither side can cheat
/// @notice The recipient holds the package under a cipher before it pays. Its payment lies here until the owner reveals
/// the key; then either one chunk proves that the key or the package was wrong, and the money goes back, or the owner is
/// paid. After FairSwap (Dziembowski, Eckey, Faust, CCS 2018), with terms in calldata and one slot of state a sale.
/// @dev offered → accepted → revealed → settled; offered → cancelled; accepted → refunded when the key does not come;
/// revealed → refunded on proof. There is no owner, pause, upgrade or fee. Tokens whose balances change by themselves
/// (rebasing) or that keep a part of a transfer are not supported: the latter are refused when they are paid in.
contract FairExchange is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice What both sides agree on.
    /// @param owner Who offers, reveals and is paid.
    /// @param recipient Who may accept.
    /// @param record The id of the record on the registry.
    /// @param packageRoot The Merkle root over the chunks of the sealed package.
    /// @param cipherRoot The Merkle root over the same chunks under the cipher.
    /// @param keyCommitment keccak256 of the key of the cipher.
    /// @param size The length of the sealed package in bytes; its last chunk is padded with zeros.
    /// @param token What is paid in; 0 for the chain's coin.
    /// @param price What the recipient pays.
    /// @param bond What the owner stakes, and loses to the recipient if it cheats or falls silent; may be 0.
    /// @param openUntil Until when the offer can be accepted, in seconds since 1970.
    /// @param revealWindow How long after the acceptance the owner has to reveal, in seconds.
    /// @param complaintWindow How long after that the recipient has to complain, in seconds.
    /// @param nonce Anything that sets this sale apart from others on the same terms.
    struct Terms {
        address owner;
        address recipient;
        bytes32 record;
        bytes32 packageRoot;
        bytes32 cipherRoot;
        bytes32 keyCommitment;
        uint64 size;
        address token;
        uint128 price;
        uint128 bond;
        uint64 openUntil;
        uint32 revealWindow;
        uint32 complaintWindow;
        uint256 nonce;
    }

    enum State {
        None,
        Offered,
        Accepted,
        Revealed,
        Settled,
        Refunded,
        Cancelled
    }

    /// @notice What is kept for a sale.
    /// @param deadline Until when: offered, it can be accepted; accepted, the key can be expected; revealed, the recipient
    /// alone can settle. 0 in the states that end a sale.
    struct Sale {
        State state;
        uint64 deadline;
    }

    event Offered(bytes32 indexed id, address indexed owner, address indexed recipient, Terms terms);
    event Cancelled(bytes32 indexed id);
    event Accepted(bytes32 indexed id, uint64 deadline);
    event Revealed(bytes32 indexed id, bytes32 key, uint64 deadline);
    event Settled(bytes32 indexed id);
    event Complained(bytes32 indexed id, uint64 index);
    event Refunded(bytes32 indexed id);
    event Credited(address indexed receiver, address indexed token, uint256 amount);
    event CreditWithdrawn(address indexed receiver, address indexed token, uint256 amount, address to);

    error NotTheOwner();
    error NotTheRecipient();
    error NotAParty();
    error WrongState(State state);
    error WindowOutOfRange();
    error EmptyPackage();
    error OfferExpired();
    error TooEarly(uint64 deadline);
    error WrongPayment(uint256 expected);
    error WrongKey();
    error WrongChunkSize();
    error NotInCipherTree();
    error NotInPackageTree();
    error ChunkIsRight();
    error NoCredit();
    error TransferFailed();

    uint32 public constant MIN_WINDOW = 1 hours;
    /// @notice So that a slip of the pen locks no one's money for good.
    uint32 public constant MAX_WINDOW = 90 days;

    // Enough for any wallet to take money, and a bound on what a hostile one can burn.
    uint256 private constant PAYMENT_GAS = 100_000;
    address private constant COIN = address(0);

    mapping(bytes32 id => Sale) private _sales;
    mapping(address token => mapping(address receiver => uint256)) private _credits;

    // --- What the owner does ---

    /// @notice Offer a package, with the bond paid in.
    /// @return id The id of the sale.
    function offer(Terms calldata terms) external payable nonReentrant returns (bytes32 id) {
        if (msg.sender != terms.owner) revert NotTheOwner();
        if (terms.size == 0) revert EmptyPackage();
        _checkWindow(terms.revealWindow);
        _checkWindow(terms.complaintWindow);
        if (block.timestamp > terms.openUntil) revert OfferExpired();
        id = saleId(terms);
        _move(id, State.None, State.Offered, terms.openUntil);
        emit Offered(id, terms.owner, terms.recipient, terms);
        _collect(terms.token, terms.bond);
    }

    /// @notice Take an offer back that was not accepted, and the bond with it.
    function cancel(Terms calldata terms) external nonReentrant {
        if (msg.sender != terms.owner) revert NotTheOwner();
        bytes32 id = saleId(terms);
        _move(id, State.Offered, State.Cancelled, 0);
        emit Cancelled(id);
        _pay(terms.token, terms.owner, terms.bond);
    }

    /// @notice Reveal the key. A late one is valid as long as the recipient did not take its money back.
    function reveal(Terms calldata terms, bytes32 key) external {
        if (msg.sender != terms.owner) revert NotTheOwner();
        _checkKey(terms, key);
        bytes32 id = saleId(terms);
        uint64 deadline = uint64(block.timestamp) + terms.complaintWindow;
        _move(id, State.Accepted, State.Revealed, deadline);
        emit Revealed(id, key, deadline);
    }

    // --- What the recipient does ---

    /// @notice Accept an offer, with the price paid in. Everything else was checked before.
    function accept(Terms calldata terms) external payable nonReentrant {
        if (msg.sender != terms.recipient) revert NotTheRecipient();
        if (block.timestamp > terms.openUntil) revert OfferExpired();
        bytes32 id = saleId(terms);
        uint64 deadline = uint64(block.timestamp) + terms.revealWindow;
        _move(id, State.Offered, State.Accepted, deadline);
        emit Accepted(id, deadline);
        _collect(terms.token, terms.price);
    }

    /// @notice Take back the payment, and the bond, when the key did not come in time.
    function refund(Terms calldata terms) external nonReentrant {
        if (msg.sender != terms.recipient) revert NotTheRecipient();
        bytes32 id = saleId(terms);
        Sale memory sale_ = _sales[id];
        if (sale_.state == State.Accepted && block.timestamp <= sale_.deadline) revert TooEarly(sale_.deadline);
        _move(id, State.Accepted, State.Refunded, 0);
        emit Refunded(id);
        _pay(terms.token, terms.recipient, uint256(terms.price) + terms.bond);
    }

    /// @notice Prove that the revealed key does not turn a chunk into what the package's root says, and take back the
    /// payment, and the bond. Valid until the sale is settled.
    /// @dev Anyone may, since the proof stands by itself and the money goes to the recipient: a recipient that may be
    /// off the air can leave it to a watcher.
    /// @param key The key that was revealed.
    /// @param index The number of the chunk.
    /// @param chunk The chunk under the cipher, 1,024 bytes.
    /// @param chunkPath Its path to the cipher's root.
    /// @param leaf The leaf of the package at this index.
    /// @param leafPath Its path to the package's root.
    function complain(
        Terms calldata terms,
        bytes32 key,
        uint64 index,
        bytes calldata chunk,
        bytes32[] calldata chunkPath,
        bytes32 leaf,
        bytes32[] calldata leafPath
    ) external nonReentrant {
        bytes32 id = saleId(terms);
        _move(id, State.Revealed, State.Refunded, 0);
        _checkKey(terms, key);
        if (chunk.length != Keystream.CHUNK_SIZE) revert WrongChunkSize();
        uint64 count = uint64(Math.ceilDiv(terms.size, Keystream.CHUNK_SIZE));
        if (!MerklePath.holds(terms.cipherRoot, count, index, MerklePath.leaf(index, chunk), chunkPath)) {
            revert NotInCipherTree();
        }
        if (!MerklePath.holds(terms.packageRoot, count, index, leaf, leafPath)) revert NotInPackageTree();
        if (MerklePath.leaf(index, Keystream.cipher(key, index, chunk)) == leaf) revert ChunkIsRight();
        emit Complained(id, index);
        emit Refunded(id);
        _pay(terms.token, terms.recipient, uint256(terms.price) + terms.bond);
    }

    // --- What both do ---

    /// @notice Pay the owner, and give the bond back: the recipient at any time, the owner after the window.
    function settle(Terms calldata terms) external nonReentrant {
        bytes32 id = saleId(terms);
        Sale memory sale_ = _sales[id];
        if (msg.sender != terms.recipient) {
            if (msg.sender != terms.owner) revert NotAParty();
            if (sale_.state == State.Revealed && block.timestamp <= sale_.deadline) revert TooEarly(sale_.deadline);
        }
        _move(id, State.Revealed, State.Settled, 0);
        emit Settled(id);
        _pay(terms.token, terms.owner, uint256(terms.price) + terms.bond);
    }

    /// @notice Take out what could not be paid to the caller when it was due.
    /// @param token In what; 0 for the chain's coin.
    /// @param to Where to, for a caller that cannot take it itself.
    function withdrawCredit(address token, address to) external nonReentrant {
        uint256 amount = _credits[token][msg.sender];
        if (amount == 0) revert NoCredit();
        _credits[token][msg.sender] = 0;
        emit CreditWithdrawn(msg.sender, token, amount, to);
        if (!_transfer(token, to, amount, gasleft())) revert TransferFailed();
    }

    // --- What anyone can ask ---

    /// @notice What is kept for a sale; its state is None where there is none.
    function sale(bytes32 id) external view returns (Sale memory) {
        return _sales[id];
    }

    /// @notice What a receiver can withdraw.
    function creditOf(address token, address receiver) external view returns (uint256) {
        return _credits[token][receiver];
    }

    /// @notice The id of a sale: bound to this contract on this chain.
    function saleId(Terms calldata terms) public view returns (bytes32) {
        return keccak256(abi.encode(terms, block.chainid, address(this)));
    }

    // --- Parts ---

    function _move(bytes32 id, State from, State to, uint64 deadline) private {
        State state = _sales[id].state;
        if (state != from) revert WrongState(state);
        _sales[id] = Sale(to, deadline);
    }

    /// @dev Take `amount` from the caller, exactly.
    function _collect(address token, uint256 amount) private {
        if (token == COIN) {
            if (msg.value != amount) revert WrongPayment(amount);
        } else {
            if (msg.value != 0) revert WrongPayment(0);
            if (amount == 0) return;
            uint256 before = IERC20(token).balanceOf(address(this));
            IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
            if (IERC20(token).balanceOf(address(this)) - before != amount) revert WrongPayment(amount);
        }
    }

    /// @dev Pay, or where the receiver does not take it, keep it for the receiver: nobody can block the other side.
    function _pay(address token, address receiver, uint256 amount) private {
        if (amount == 0 || _transfer(token, receiver, amount, PAYMENT_GAS)) return;
        _credits[token][receiver] += amount;
        emit Credited(receiver, token, amount);
    }

    function _transfer(address token, address receiver, uint256 amount, uint256 gasLimit)
        private
        returns (bool success)
    {
        if (token != COIN) return IERC20(token).trySafeTransfer(receiver, amount);
        // In assembly, since Solidity would copy what the receiver answers, however long, at the caller's cost.
        assembly ("memory-safe") {
            success := call(gasLimit, receiver, amount, 0x00, 0x00, 0x00, 0x00)
        }
    }

    function _checkWindow(uint32 window) private pure {
        if (window < MIN_WINDOW || window > MAX_WINDOW) revert WindowOutOfRange();
    }

    function _checkKey(Terms calldata terms, bytes32 key) private pure {
        if (keccak256(abi.encode(key)) != terms.keyCommitment) revert WrongKey();
    }
}
