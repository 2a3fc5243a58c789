#include "check/rules/scene.h"

#include <algorithm>

namespace kdpc::rules {

Party Scene::brief(const char* role) const {
  constexpr std::uint8_t kSynch = 12;  // from here on it is the kernel that has raised, for itself
  const Actor& who = actor();
  Party party{role, stamp, who.acting, who.routine, who.caller, false, {}};
  if (stamp.irql >= kSynch) party.when.irql = who.called_at;
  return party;
}

Party Scene::here(const char* role) const {
  Party party = brief(role);
  if (surroundings_.stack == nullptr || party.at == 0) return party;
  // What lies inside of the driver's call is ours, and says nothing.
  std::uintptr_t frames[40];
  const unsigned count = surroundings_.stack(frames, std::size(frames));
  const std::uintptr_t* const end = frames + count;
  const std::uintptr_t* from = std::find(static_cast<const std::uintptr_t*>(frames), end, party.at);
  std::copy(from, std::min(from + (kPartyFrames - 1), end), party.frames.begin());
  return party;
}

Party Scene::at(const char* role, std::uintptr_t place) const {
  const Actor& who = actor();
  return {role, stamp, who.acting, who.routine, place, true, {}};
}

void Scene::explain(RuleId rule, std::string sentence, std::vector<Party> parties) {
  if (!is_on(rule)) return;
  report_.keys.push_back(0);
  report_.findings.push_back({rule, std::move(sentence), std::move(parties)});
}

void Scene::report(RuleId rule, std::string sentence, std::vector<Party> parties) {
  if (!is_on(rule)) return;
  std::uint64_t key = static_cast<std::uint64_t>(rule) + 1;
  for (std::size_t i = 0; i < parties.size() && i < 2; ++i) key = (key ^ parties[i].at) * 0x9E3779B97F4A7C15;
  for (std::size_t i = 0; i < report_.keys.size(); ++i)
    if (report_.keys[i] == key) {
      ++report_.findings[i].count;
      return;
    }
  report_.keys.push_back(key);
  report_.findings.push_back({rule, std::move(sentence), std::move(parties)});
  if (row_of(rule).severity != Severity::Error || limits.keep_going) return;
  report_.stopped = true;
  if (surroundings_.stop != nullptr) surroundings_.stop();
}

}  // namespace kdpc::rules
