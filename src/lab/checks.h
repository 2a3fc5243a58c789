// The rule checks in the lab: attached to the machine, and their findings told with names.
#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "check/rules/rules.h"
#include "kdpc/lab.h"

namespace kdpc::lab {

Result<rules::Limits> limits_from(const Checks& checks);
std::unique_ptr<rules::Rules> make_checks(unsigned processors, const rules::Limits& limits);
Finding describe(const rules::Finding& found, Symbols& symbols);

}  // namespace kdpc::lab
