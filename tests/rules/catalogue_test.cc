// The catalogue and its page, docs/checks.md, say the same; and every rule has a driver that breaks it.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "check/rules/finding.h"
#include "kernel/bugcheck.h"

namespace kdpc::rules {
namespace {

namespace fs = std::filesystem;

std::string read(const std::string& path) {
  std::ifstream file(KDPC_SOURCE_DIR + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string section_of(const RuleRow& row) {
  std::string nt = row.code == 0 ? "Windows says nothing" : fmt::format("{:#x} {}", row.code, name_of_stop(row.code));
  if (row.subcode != 0) nt += fmt::format(" ({:#x})", row.subcode);
  if (*row.ddi_rule != '\0') nt += fmt::format("; DDI rule {}", row.ddi_rule);
  const char* const kind = row.severity == Severity::Advice ? " (advice)" : "";
  return fmt::format("### `{}`{}\n\n{}\n\n*On Windows:* {}. *Rule:* {}. *Usual fix:* {}\n", row.id, kind, row.meaning, nt, row.rule, row.fix);
}

TEST(Catalogue, EveryRuleIsExplainedInDocsChecks) {
  const std::string page = read("/docs/checks.md");
  for (unsigned number = 0; number < kRuleCount; ++number) {
    const std::string section = section_of(row_of(static_cast<RuleId>(number)));
    EXPECT_TRUE(page.find(section) != std::string::npos) << "docs/checks.md should have:\n\n" << section;
  }
}

TEST(Catalogue, ThePageExplainsNothingElse) {
  std::set<std::string> ids;
  for (unsigned number = 0; number < kRuleCount; ++number) ids.insert(row_of(static_cast<RuleId>(number)).id);
  EXPECT_EQ(ids.size(), kRuleCount) << "an id is used twice";
  std::istringstream page(read("/docs/checks.md"));
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("### `")) continue;
    EXPECT_TRUE(ids.contains(line.substr(5, line.rfind('`') - 5))) << line;
  }
}

// What needs hardware, its mistake and the right way, is tested in interrupts_test.cc.
TEST(Catalogue, EveryRuleHasADriverThatBreaksIt) {
  for (unsigned number = 0; number < kRuleCount; ++number) {
    const RuleRow& row = row_of(static_cast<RuleId>(number));
    std::string name = row.id;
    std::replace(name.begin(), name.end(), '-', '_');
    if (name == "stop_storm" || name == "interrupt_lost") continue;
    EXPECT_TRUE(fs::exists(KDPC_SOURCE_DIR "/tests/rules/drivers/" + name + ".c")) << row.id;
  }
}

TEST(Catalogue, TextsAreWholeSentences) {
  for (unsigned number = 0; number < kRuleCount; ++number) {
    const RuleRow& row = row_of(static_cast<RuleId>(number));
    EXPECT_THAT(row.meaning, ::testing::EndsWith("."));
    EXPECT_THAT(row.fix, ::testing::EndsWith("."));
  }
}

}  // namespace
}  // namespace kdpc::rules
