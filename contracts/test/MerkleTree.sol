// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Whole Merkle trees, for tests
/// @notice What `MerklePath` checks, made in the plainest way and without a line of it.
library MerkleTree {
    function leafHash(uint64 index, bytes memory data) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"00", bytes8(index), data));
    }

    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(bytes.concat(hex"01", left, right));
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = _padded(leaves);
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    /// @return beside The hashes beside the way from a leaf to the root.
    function path(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory beside) {
        bytes32[] memory level = _padded(leaves);
        beside = new bytes32[](depth(leaves.length));
        for (uint256 i = 0; i < beside.length; ++i) {
            beside[i] = level[index ^ 1];
            level = _above(level);
            index /= 2;
        }
    }

    function depth(uint256 count) internal pure returns (uint256 levels) {
        while (2 ** levels < count) ++levels;
    }

    function _padded(bytes32[] memory leaves) private pure returns (bytes32[] memory level) {
        level = new bytes32[](2 ** depth(leaves.length));
        for (uint256 i = 0; i < leaves.length; ++i) {
            level[i] = leaves[i];
        }
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = nodeHash(level[2 * i], level[2 * i + 1]);
        }
    }
}
