// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token to pay in.
contract Token is ERC20 {
    constructor(address holder, uint256 amount) ERC20("Token", "T") {
        _mint(holder, amount);
    }
}
