#include "tools/kdpc/driver_files.h"

#include <fmt/format.h>

#include "tools/kdpc/near_name.h"

namespace kdpc::tool {

namespace fs = std::filesystem;

namespace {

fs::path program_folder() {
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed).parent_path();
}

}  // namespace

std::optional<Refusal> find_driver_files(Scenario& scenario, const std::vector<std::string>& first_folders, Variant variant) {
  std::vector<fs::path> folders(first_folders.begin(), first_folders.end());
  folders.push_back(scenario.file.parent_path());
  folders.push_back(program_folder().parent_path() / "drivers");                     // of a build
  folders.push_back(program_folder().parent_path() / "share" / "kdpc" / "drivers");  // of an installation
  for (DriverWanted& wanted : scenario.drivers) {
    std::error_code failed;
    std::vector<std::string> searched, found;
    if (wanted.file.empty()) {
      for (const fs::path& folder : folders) {
        const fs::path file = folder / (wanted.name + ".drv");
        if (fs::is_regular_file(file, failed)) {
          wanted.file = file;
          break;
        }
        searched.push_back(folder.empty() ? "." : folder.string());
        for (const auto& entry : fs::directory_iterator(folder, failed))
          if (entry.path().extension() == ".drv") found.push_back(entry.path().stem().string());
      }
      if (wanted.file.empty()) {
        const std::string_view near = nearest(wanted.name, found);
        return Refusal{ExitCode::BadInput,
                       fmt::format("{}: there is no driver {}.drv in {}; --drivers DIR names another folder{}", wanted.position.text(), wanted.name,
                                   enumerated(searched), near.empty() ? "" : fmt::format("; did you mean '{}'?", near))};
      }
    } else if (!fs::is_regular_file(wanted.file, failed)) {
      return Refusal{ExitCode::BadInput, fmt::format("{}: there is no driver file {}", wanted.position.text(), wanted.file.string())};
    }
    const fs::path check = wanted.file.parent_path() / "check" / wanted.file.filename();
    if (variant == Variant::Check && fs::is_regular_file(check, failed)) wanted.file = check;
  }
  return {};
}

namespace {

std::string file_of(const DriverWanted& wanted) { return fs::absolute(wanted.file).lexically_normal().string(); }

}  // namespace

Result<const io::Image*> map_driver(const DriverWanted& wanted) {
  const auto image = io::loader::map(file_of(wanted));
  if (!image) return Error{fmt::format("{}: {}", wanted.position.text(), image.error().what)};
  return *image;
}

bool load(lab::Machine& machine, const DriverWanted& wanted, std::string& why) {
  const lab::DriverOptions options{.name = wanted.name, .settings = {wanted.parameters.begin(), wanted.parameters.end()}};
  return machine.load_driver(file_of(wanted), why, options);
}

bool load_and_start(lab::Machine& machine, const DriverWanted& wanted, std::string& why, std::vector<std::string>& loaded) {
  if (!load(machine, wanted, why)) return false;
  loaded.push_back(wanted.name);
  return wanted.device.empty() || machine.start_device(wanted.device, wanted.name, why);
}

}  // namespace kdpc::tool
