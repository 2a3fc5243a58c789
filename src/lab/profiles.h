// Profiles: several options under one name. {"profile", "win7"} among the settings stands for all of them; single options override.
//
// strict, checked and free say who watches the driver; the others which version of NT it meets. There is one layout of structures, always that of
// Windows 10: a version differs in behaviour only.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kdpc::lab {

struct Profile {
  std::string_view name;
  std::map<std::string, std::string> settings;  // what differs from the defaults
};
const std::vector<Profile>& profiles();
inline constexpr std::string_view kProfileKey = "profile";

}  // namespace kdpc::lab
