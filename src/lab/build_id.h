// Which build of kdpc this is: two runs of one schedule may differ by nothing else.
#pragma once
#include <string>

namespace kdpc::lab {

std::string build_id();  // the linker's, of this library, in hexadecimal digits; "unknown" if it has none

}  // namespace kdpc::lab
