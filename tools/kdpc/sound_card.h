// The devices of a scenario as QEMU's board, and what the card plays as a file.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "devices/qtest/qemu_board.h"
#include "tools/kdpc/scenario.h"

namespace kdpc::tool {

// $KDPC_QEMU, or the one Debian has.
std::string qemu_program();
// Empty: it can be started. Else a sentence that names the package.
std::string why_no_qemu(const std::string& program);

Result<std::unique_ptr<qtest::QemuBoard>> start_board(const Scenario& scenario, const std::filesystem::path& wav);

}  // namespace kdpc::tool
