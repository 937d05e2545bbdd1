// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {MerklePath} from "../src/MerklePath.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @dev The library takes its paths from calldata, so it is called from outside.
contract MerklePathCaller {
    function leaf(uint64 index, bytes calldata data) external pure returns (bytes32) {
        return MerklePath.leaf(index, data);
    }

    function holds(bytes32 root, uint64 count, uint64 index, bytes32 hash, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return MerklePath.holds(root, count, index, hash, path);
    }

    function holdsAndKeeps(bytes32 root, uint64 count, bytes32 hash, bytes32[] calldata path, bytes calldata data)
        external
        view
        returns (bytes memory before, bytes memory later)
    {
        before = data;
        require(MerklePath.holds(root, count, 0, hash, path));
        later = data;
    }
}

contract MerklePathTest is Test {
    MerklePathCaller private immutable caller = new MerklePathCaller();

    // --- The file that the Python twin is held to as well ---

    function test_EveryLeafOfTheVectorsIsMadeAndHeld() public view {
        string memory json = vm.readFile("test/vectors.json");
        uint256 tree = 0;
        for (string memory key = ".merkle[0]"; vm.keyExistsJson(json, key); key = _key(++tree)) {
            bytes[] memory data = vm.parseJsonBytesArray(json, string.concat(key, ".data"));
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, string.concat(key, ".leaves"));
            bytes32 root = vm.parseJsonBytes32(json, string.concat(key, ".root"));
            assertEq(data.length, leaves.length);
            for (uint64 i = 0; i < leaves.length; ++i) {
                string memory pathKey = string.concat(key, ".paths[", vm.toString(i), "]");
                bytes32[] memory path = vm.parseJsonBytes32Array(json, pathKey);
                assertEq(caller.leaf(i, data[i]), leaves[i]);
                assertTrue(caller.holds(root, uint64(leaves.length), i, leaves[i], path));
            }
        }
        assertGt(tree, 10);
    }

    // --- Leaves ---

    function testFuzz_ALeafIsTheHashOfAZeroItsIndexAndItsData(uint64 index, bytes calldata data) public view {
        assertEq(caller.leaf(index, data), sha256(bytes.concat(bytes1(0x00), bytes8(index), data)));
    }

    function testFuzz_TheSameDataElsewhereIsAnotherLeaf(uint64 index, uint64 other, bytes calldata data) public view {
        vm.assume(index != other);
        assertNotEq(caller.leaf(index, data), caller.leaf(other, data));
    }

    // --- What is held ---

    function testFuzz_EveryLeafIsHeldAtItsIndex(uint256 seed, uint64 count, uint64 index) public view {
        (bytes32[] memory leaves, uint64 place) = _tree(seed, count, index);
        assertTrue(_holds(leaves, leaves.length, place, leaves[place], MerkleTree.path(leaves, place)));
    }

    function test_TheOnlyLeafIsTheRoot() public view {
        bytes32[] memory leaves = _leaves(1, 1);
        assertTrue(caller.holds(leaves[0], 1, 0, leaves[0], new bytes32[](0)));
    }

    function testFuzz_ThePathIsAsLongAsTheTreeIsDeep(uint256 depth, uint256 count, uint256 length) public view {
        depth = bound(depth, 0, 64);
        uint256 most = depth == 64 ? type(uint64).max : 2 ** depth;
        count = bound(count, depth == 0 ? 1 : 2 ** (depth - 1) + 1, most);
        length = bound(length, 0, 66);
        bytes32 leaf = keccak256("leaf");
        (bytes32 root, bytes32[] memory path) = _climb(leaf, 0, depth);
        assertTrue(caller.holds(root, uint64(count), 0, leaf, path));
        (root, path) = _climb(leaf, 0, length);
        assertEq(caller.holds(root, uint64(count), 0, leaf, path), length == depth);
    }

    function testFuzz_ATreeMayHaveAsManyLeavesAsCanBeCounted(uint64 index) public view {
        vm.assume(index != type(uint64).max);
        bytes32 leaf = keccak256("leaf");
        (bytes32 root, bytes32[] memory path) = _climb(leaf, index, 64);
        assertTrue(caller.holds(root, type(uint64).max, index, leaf, path));
    }

    function test_MemoryIsLeftAsItWas() public view {
        bytes32[] memory leaves = _leaves(3, 9);
        bytes memory data = bytes("what was in memory before and what is put there later");
        (bytes memory before, bytes memory later) =
            caller.holdsAndKeeps(MerkleTree.root(leaves), 9, leaves[0], MerkleTree.path(leaves, 0), data);
        assertEq(before, data);
        assertEq(later, data);
    }

    // --- Attacks ---

    function testFuzz_ChunkIAgainstLeafJIsRefused(uint256 seed, uint64 count, uint64 index, uint64 other) public view {
        (bytes32[] memory leaves, uint64 i) = _tree(seed, count, index);
        uint64 j = uint64(bound(other, 0, leaves.length - 1));
        vm.assume(i != j);
        bytes32[] memory pathOfI = MerkleTree.path(leaves, i);
        bytes32[] memory pathOfJ = MerkleTree.path(leaves, j);
        assertFalse(_holds(leaves, leaves.length, j, leaves[i], pathOfI), "the leaf and path of i at j");
        assertFalse(_holds(leaves, leaves.length, j, leaves[i], pathOfJ), "the leaf of i with the path of j at j");
        assertFalse(_holds(leaves, leaves.length, i, leaves[j], pathOfI), "the leaf of j with the path of i at i");
    }

    function testFuzz_AnIndexBeyondTheCountIsRefused(uint256 seed, uint64 count, uint64 beyond) public view {
        bytes32[] memory leaves = _leaves(seed, bound(count, 2, 20));
        // Without the check of the index, its high bits would be lost, and this were the path of the first leaf.
        uint64 index = uint64(bound(beyond, leaves.length, type(uint64).max)) & ~uint64(31) | 32;
        assertFalse(_holds(leaves, leaves.length, index, leaves[0], MerkleTree.path(leaves, 0)));
    }

    function test_AMissingLeafIsRefused() public view {
        bytes32[] memory leaves = _leaves(2, 5);
        bytes32[] memory path = MerkleTree.path(leaves, 5);
        assertFalse(_holds(leaves, 5, 5, bytes32(0), path));
        assertTrue(_holds(leaves, 6, 5, bytes32(0), path), "it fails for the count alone");
    }

    function test_ATreeWithoutLeavesHoldsNothing() public view {
        assertFalse(caller.holds(bytes32(0), 0, 0, bytes32(0), new bytes32[](0)));
    }

    function testFuzz_AnInnerNodeAsALeafIsRefused(uint256 seed, uint64 count, uint64 index) public view {
        (bytes32[] memory leaves, uint64 place) = _tree(seed, bound(count, 2, 16), index);
        bytes32[] memory path = MerkleTree.path(leaves, place);
        (bytes32 left, bytes32 right) = place % 2 == 0 ? (leaves[place], path[0]) : (path[0], leaves[place]);
        bytes32[] memory rest = new bytes32[](path.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = path[i + 1];
        }
        bytes32 node = MerkleTree.nodeHash(left, right);
        assertFalse(_holds(leaves, leaves.length, place / 2, node, rest), "as a leaf, with the rest of the path");
        // The children of a node, offered as the data of a leaf one level up.
        assertNotEq(caller.leaf(place / 2, bytes.concat(left, right)), node);
    }

    function test_NoLeafSpellsANode() public view {
        bytes32[] memory leaves = _leaves(4, 2);
        bytes32 root = MerkleTree.root(leaves);
        bytes memory node = bytes.concat(hex"01", leaves[0], leaves[1]);
        assertEq(sha256(node), root);
        // Were it not for a leaf's first byte, or were it a node's, index and data could be cut out of a node.
        for (uint256 start = 0; start < 2; ++start) {
            (uint64 index, bytes memory data) = _cut(node, start);
            assertNotEq(caller.leaf(index, data), root);
        }
    }

    function testFuzz_APathOfTheWrongLengthIsRefused(uint256 seed, uint64 count, uint64 index) public view {
        (bytes32[] memory leaves, uint64 place) = _tree(seed, count, index);
        bytes32[] memory path = MerkleTree.path(leaves, place);
        bytes32[] memory longer = new bytes32[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) {
            longer[i] = path[i];
        }
        bytes32 root = MerkleTree.root(leaves);
        assertFalse(caller.holds(root, uint64(leaves.length), place, leaves[place], longer));
        // The same with the root that such a path leads to: it is the length that is refused.
        bytes32 higher = MerkleTree.nodeHash(root, bytes32(0));
        assertFalse(caller.holds(higher, uint64(leaves.length), place, leaves[place], longer));
    }

    function testFuzz_NoBitOfAPathCanBeOther(uint256 seed, uint64 count, uint64 index, uint256 level, uint8 bit)
        public
        view
    {
        (bytes32[] memory leaves, uint64 place) = _tree(seed, bound(count, 2, 16), index);
        bytes32[] memory path = MerkleTree.path(leaves, place);
        level = bound(level, 0, path.length - 1);
        path[level] ^= bytes32(uint256(1) << bit);
        assertFalse(_holds(leaves, leaves.length, place, leaves[place], path));
    }

    function testFuzz_NoBitOfALeafOrRootCanBeOther(uint256 seed, uint64 count, uint64 index, uint8 bit) public view {
        (bytes32[] memory leaves, uint64 place) = _tree(seed, count, index);
        bytes32[] memory path = MerkleTree.path(leaves, place);
        bytes32 root = MerkleTree.root(leaves);
        bytes32 other = bytes32(uint256(1) << bit);
        assertFalse(caller.holds(root, uint64(leaves.length), place, leaves[place] ^ other, path));
        assertFalse(caller.holds(root ^ other, uint64(leaves.length), place, leaves[place], path));
    }

    function test_AHashThatFailsIsNotTakenForOne() public {
        bytes32[] memory leaves = _leaves(5, 4);
        bytes32 root = MerkleTree.root(leaves);
        bytes32[] memory path = MerkleTree.path(leaves, 3);
        assertTrue(caller.holds(root, 4, 3, leaves[3], path));
        vm.mockCallRevert(address(2), bytes(""), bytes(""));
        vm.expectRevert();
        caller.holds{gas: 100_000}(root, 4, 3, leaves[3], path);
    }

    // --- Parts ---

    function _holds(bytes32[] memory leaves, uint256 count, uint64 index, bytes32 hash, bytes32[] memory path)
        private
        view
        returns (bool)
    {
        return caller.holds(MerkleTree.root(leaves), uint64(count), index, hash, path);
    }

    /// @return leaves One to sixteen, without order.
    /// @return place One of their indices.
    function _tree(uint256 seed, uint256 count, uint64 index)
        private
        pure
        returns (bytes32[] memory leaves, uint64 place)
    {
        leaves = _leaves(seed, bound(count, 1, 16));
        place = uint64(bound(index, 0, leaves.length - 1));
    }

    function _leaves(uint256 seed, uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint64 i = 0; i < count; ++i) {
            leaves[i] = MerkleTree.leafHash(i, abi.encode(seed, i));
        }
    }

    /// @dev A path that nobody made a whole tree for, and the root that it leads to.
    function _climb(bytes32 leaf, uint256 index, uint256 length)
        private
        pure
        returns (bytes32 root, bytes32[] memory path)
    {
        root = leaf;
        path = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            path[i] = keccak256(abi.encode(i));
            root = (index >> i) % 2 == 0 ? MerkleTree.nodeHash(root, path[i]) : MerkleTree.nodeHash(path[i], root);
        }
    }

    /// @dev What lies in some bytes from a place on, as an index and data.
    function _cut(bytes memory whole, uint256 start) private pure returns (uint64 index, bytes memory data) {
        data = new bytes(whole.length - start - 8);
        for (uint256 i = start; i < whole.length; ++i) {
            if (i < start + 8) index = index << 8 | uint8(whole[i]);
            else data[i - start - 8] = whole[i];
        }
    }

    function _key(uint256 tree) private pure returns (string memory) {
        return string.concat(".merkle[", vm.toString(tree), "]");
    }
}
