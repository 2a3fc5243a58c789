// What a .drv file says about itself, read before it is loaded: the dynamic linker names one missing symbol at a time and would bind a driver's
// strlen to the host's C library, which has another calling convention.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kdpc {

// A part of the image a driver can write to; addresses are as linked. Its first `file_size` bytes come from the file, the rest begins as zeros.
struct WritableRange {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint64_t file_size = 0;
};

// Code or data that the driver has put into a section PAGE…: it may be touched below DISPATCH_LEVEL only. Whole pages; addresses as linked.
struct PageableRange {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  bool write = false;
  bool execute = false;
};

struct DriverImage {
  std::string path;
  std::uint64_t link_base = 0;          // where it wants to be; the loader verifies that it is
  std::uint64_t size = 0;               // from link_base to the end of its last segment, in whole pages
  std::uint64_t entry = 0;              // of DriverEntry, as linked
  std::vector<WritableRange> writable;  // state of the run: saved before DriverEntry, part of every checkpoint
  std::vector<PageableRange> pageable;
  std::vector<std::string> missing_exports;  // everything it needs that `is_exported` does not know, sorted
  bool is_check_variant = false;             // it calls KdpcAccess: its hooks are those of drvcrt_check.c
  std::string build_id;                      // hexadecimal; empty if it has none
};

// The Error says what is wrong with the file and what to do. Missing exports are not an error here: the caller may want to name them all, with
// their nearest relatives; missing_exports_error() is the plain sentence.
Result<DriverImage> read_driver_image(const std::string& path, const std::function<bool(std::string_view)>& is_exported);

Error missing_exports_error(const DriverImage& image);

}  // namespace kdpc
