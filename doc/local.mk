# The manual: a page for each family of functions, and a link to it for each of the others.

dist_man_MANS = \
	doc/man/gcmmap.7 \
	doc/man/gcmmap_adopt.3 \
	doc/man/gcmmap_advise.3 \
	doc/man/gcmmap_close.3 \
	doc/man/gcmmap_collect.3 \
	doc/man/gcmmap_copy_out.3 \
	doc/man/gcmmap_data.3 \
	doc/man/gcmmap_extend.3 \
	doc/man/gcmmap_get_stats.3 \
	doc/man/gcmmap_list.3 \
	doc/man/gcmmap_lock.3 \
	doc/man/gcmmap_next_line.3 \
	doc/man/gcmmap_open.3 \
	doc/man/gcmmap_protect.3 \
	doc/man/gcmmap_report_faults.3 \
	doc/man/gcmmap_residency.3 \
	doc/man/gcmmap_set_budget.3 \
	doc/man/gcmmap_shm.3 \
	doc/man/gcmmap_slice_object_new.3 \
	doc/man/gcmmap_slice_sub.3 \
	doc/man/gcmmap_snapshot.3 \
	doc/man/gcmmap_sync.3 \
	doc/man/gcmmap_try.3 \
	doc/man/gcmmap_weak_of.3 \
	doc/man/gcmmap_why.3
nodist_man_MANS = $(man_links)
man_links = \
	doc/man/links/gcmmap_alloc.3 \
	doc/man/links/gcmmap_alloc_with.3 \
	doc/man/links/gcmmap_bytes.3 \
	doc/man/links/gcmmap_copy_in.3 \
	doc/man/links/gcmmap_fault_text.3 \
	doc/man/links/gcmmap_get_budget.3 \
	doc/man/links/gcmmap_get_pacing.3 \
	doc/man/links/gcmmap_guard_caught.3 \
	doc/man/links/gcmmap_guard_enter.3 \
	doc/man/links/gcmmap_guard_leave.3 \
	doc/man/links/gcmmap_map.3 \
	doc/man/links/gcmmap_map_with.3 \
	doc/man/links/gcmmap_memfd.3 \
	doc/man/links/gcmmap_next_field.3 \
	doc/man/links/gcmmap_of.3 \
	doc/man/links/gcmmap_open_with.3 \
	doc/man/links/gcmmap_prefetch.3 \
	doc/man/links/gcmmap_print_why.3 \
	doc/man/links/gcmmap_refresh.3 \
	doc/man/links/gcmmap_report.3 \
	doc/man/links/gcmmap_set_pacing.3 \
	doc/man/links/gcmmap_shm_unlink.3 \
	doc/man/links/gcmmap_size.3 \
	doc/man/links/gcmmap_slice_compare.3 \
	doc/man/links/gcmmap_slice_equal.3 \
	doc/man/links/gcmmap_slice_find.3 \
	doc/man/links/gcmmap_slice_find_byte.3 \
	doc/man/links/gcmmap_slice_of.3 \
	doc/man/links/gcmmap_trim.3 \
	doc/man/links/gcmmap_truncate.3 \
	doc/man/links/gcmmap_unload.3 \
	doc/man/links/gcmmap_unlock.3 \
	doc/man/links/gcmmap_unmap_now.3 \
	doc/man/links/gcmmap_weak_get.3 \
	doc/man/links/gcmmap_zero_filled.3
CLEANFILES += $(man_links)

# The page is the one that has the function in its first section.
$(man_links): $(dist_man_MANS)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && name=`basename $@ .3` && \
	  page=`cd $(top_srcdir)/doc/man && grep -l "^\.Nm $$name\( ,\)*$$" *.3` && \
	  echo ".so man3/$$page" >$@
