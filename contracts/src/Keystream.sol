// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The cipher of a sale
/// @notice Chunks of 1,024 bytes under a keystream whose block of 32 bytes is SHA-256(key ‖ chunk ‖ block), both numbers
/// in 8 bytes, big-endian.
/// @dev A contract can take the cipher off any chunk alone, which is what a complaint asks of it. A key serves one sale.
/// What lies under the cipher is sealed already, so the key may become public. The Python twin is
/// `MedWatermarkLib/keystream.py`; both are held to one file of vectors.
library Keystream {
    uint256 internal constant CHUNK_SIZE = 1024;
    uint256 private constant BLOCKS = 32;

    /// @notice Put the cipher on a chunk, or take it off: both are the same.
    /// @param key The key of the sale.
    /// @param index The number of the chunk, from 0.
    /// @param chunk Exactly 1,024 bytes: fewer are refused, and the caller sees to it that there are no more.
    function cipher(bytes32 key, uint64 index, bytes calldata chunk) internal pure returns (bytes memory) {
        bytes32[BLOCKS] memory blocks = abi.decode(chunk, (bytes32[32]));
        for (uint64 i = 0; i < BLOCKS; ++i) {
            blocks[i] ^= sha256(abi.encodePacked(key, index, i));
        }
        return abi.encodePacked(blocks);
    }
}
