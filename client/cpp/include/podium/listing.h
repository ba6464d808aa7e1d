/// Lists that fetch page by page.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace podium {

/// A page of a list.
template <class T>
struct Page {
  /// The items.
  std::vector<T> items;
  /// The token of the next page. Empty if this is the last one.
  std::string next_token;
};

/// A list for a range-based `for`. Each loop fetches page by page, and throws the Error of a page.
template <class T>
class Listing {
 public:
  /// Fetches the page of a token. The first page has an empty token.
  using Fetch = std::function<Page<T>(const std::string& token)>;

  /// Makes a list of the pages that `fetch` returns.
  explicit Listing(Fetch fetch) : fetch_(std::move(fetch)) {}

  /// A place in the list, or its end.
  class iterator {
   public:
    /// @cond every input iterator has these
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    iterator() = default;
    explicit iterator(Fetch fetch) : place_(std::make_shared<Place>()) {
      place_->fetch = std::move(fetch);
      turn();
      skip_empty_pages();
    }

    reference operator*() const { return place_->page.items[place_->index]; }
    pointer operator->() const { return &**this; }

    iterator& operator++() {
      ++place_->index;
      skip_empty_pages();
      return *this;
    }
    void operator++(int) { ++*this; }

    bool operator==(const iterator& other) const { return place_ == other.place_; }
    bool operator!=(const iterator& other) const { return !(*this == other); }
    /// @endcond

   private:
    struct Place {
      Fetch fetch;
      Page<T> page;
      std::size_t index = 0;
    };

    void turn() {
      place_->page = place_->fetch(place_->page.next_token);
      place_->index = 0;
    }

    /// Advances to the next page that has items, or to the end of the list.
    void skip_empty_pages() {
      while (place_->index == place_->page.items.size()) {
        if (place_->page.next_token.empty()) {
          place_ = nullptr;
          return;
        }
        turn();
      }
    }

    std::shared_ptr<Place> place_;
  };

  /// Fetches the first page, and returns the place of the first item.
  [[nodiscard]] iterator begin() const { return iterator(fetch_); }
  /// Returns the end of the list.
  [[nodiscard]] iterator end() const { return {}; }

  /// Fetches all pages, and returns all items.
  [[nodiscard]] std::vector<T> all() const { return {begin(), end()}; }

 private:
  Fetch fetch_;
};

}  // namespace podium
