// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Paths in the Merkle tree of MedWatermark
/// @notice A leaf is SHA-256(0x00 ‖ index ‖ data) and a node SHA-256(0x01 ‖ left ‖ right), the index in 8 bytes,
/// big-endian. Sides follow the bits of the index, and a leaf that is missing on the right is 32 zero bytes.
/// @dev Unlike trees of sorted pairs, this one proves at which index a leaf stands. A leaf cannot pass for a node, since
/// their first bytes differ. The Python twin is `MedWatermarkLib/merkle.py`; both are held to one file of vectors.
library MerklePath {
    /// @notice The hash of a leaf.
    /// @param index Where the leaf stands, from 0.
    /// @param data What it holds.
    function leaf(uint64 index, bytes memory data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), index, data));
    }

    /// @notice Whether a tree of `count` leaves holds `hash` at `index`.
    /// @param root The root of the tree.
    /// @param count How many leaves the tree has; a path for an index beyond is refused.
    /// @param index Where the leaf stands, from 0.
    /// @param hash The hash of the leaf.
    /// @param path The hashes beside the way to the root, from the leaf up; exactly as many as the tree is deep.
    function holds(bytes32 root, uint64 count, uint64 index, bytes32 hash, bytes32[] calldata path)
        internal
        view
        returns (bool)
    {
        if (index >= count || path.length != Math.log2(count, Math.Rounding.Ceil)) return false;
        for (uint256 level = 0; level < path.length; ++level) {
            hash = (index >> level) & 1 == 0 ? _node(hash, path[level]) : _node(path[level], hash);
        }
        return hash == root;
    }

    /// @dev In assembly, since a complaint takes forty of these: `sha256(abi.encodePacked(bytes1(0x01), left, right))`
    /// leaves a new piece of memory behind each time.
    function _node(bytes32 left, bytes32 right) private view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 0x01)
            mstore(add(free, 0x01), left)
            mstore(add(free, 0x21), right)
            // It fails only for want of gas, of which the caller then has next to none left: all of it is spent.
            if iszero(staticcall(gas(), 0x02, free, 0x41, 0x00, 0x20)) { invalid() }
            hash := mload(0x00)
        }
    }
}
