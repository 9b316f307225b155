/* Our reconstruction of rpm-ostree's way: check out the base, lay the packages over it, write the
 * rpm database, commit the whole tree again, deploy it.
 *
 * classic SYSROOT STATEROOT BASE STOP CHECKOUT COMMAND PACKAGE...
 *
 * BASE and each PACKAGE are checksums of commits: solving, fetching and importing are done. STOP is
 * `commit` or `deploy` (and its boot entry); nothing is cleaned up. COMMAND is run by the shell in
 * CHECKOUT, to write the database. Prints the commit's checksum.
 *
 * libostree in the fastest of its modes: hard links both ways, a cache of devices and inodes, files
 * that it knows from that taken as they are.
 */

#include <fcntl.h>
#include <ostree.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
check_out (OstreeRepo *repo, const char *commit, const char *target, OstreeRepoDevInoCache *cache,
           gboolean over, GError **error)
{
  OstreeRepoCheckoutAtOptions options = { 0 };
  options.mode = OSTREE_REPO_CHECKOUT_MODE_NONE;
  options.overwrite_mode = over ? OSTREE_REPO_CHECKOUT_OVERWRITE_UNION_FILES
                                : OSTREE_REPO_CHECKOUT_OVERWRITE_NONE;
  options.no_copy_fallback = TRUE;
  options.devino_to_csum_cache = cache;
  if (!ostree_repo_checkout_at (repo, &options, AT_FDCWD, target, commit, NULL, error))
    g_error ("checkout of %s: %s", commit, (*error)->message);
}

static char *
commit_again (OstreeRepo *repo, const char *base, const char *target, OstreeRepoDevInoCache *cache,
              GError **error)
{
  g_autoptr (OstreeMutableTree) tree = ostree_mutable_tree_new ();
  g_autoptr (OstreeRepoCommitModifier) modifier = ostree_repo_commit_modifier_new (
      OSTREE_REPO_COMMIT_MODIFIER_FLAGS_DEVINO_CANONICAL, NULL, NULL, NULL);
  g_autoptr (GFile) root = NULL;
  g_autoptr (GVariant) known = NULL;
  g_autoptr (GVariant) all = NULL;
  char *checksum = NULL;

  if (!ostree_repo_load_commit (repo, base, &known, NULL, error))
    return NULL;
  /* What libostree wants to know of a tree that boots, and the version. */
  all = g_variant_get_child_value (known, 0);
  g_auto (GVariantDict) metadata;
  g_variant_dict_init (&metadata, NULL);
  for (const char **key = (const char *[]){ "ostree.bootable", "ostree.linux", "version", NULL };
       *key; key++)
    {
      g_autoptr (GVariant) value = g_variant_lookup_value (all, *key, NULL);
      if (value)
        g_variant_dict_insert_value (&metadata, *key, value);
    }
  g_autoptr (GVariant) given = g_variant_ref_sink (g_variant_dict_end (&metadata));
  ostree_repo_commit_modifier_set_devino_cache (modifier, cache);
  if (!ostree_repo_prepare_transaction (repo, NULL, NULL, error)
      || !ostree_repo_write_dfd_to_mtree (repo, AT_FDCWD, target, tree, modifier, NULL, error)
      || !ostree_repo_write_mtree (repo, tree, &root, NULL, error)
      || !ostree_repo_write_commit (repo, base, "classic", NULL, given, OSTREE_REPO_FILE (root),
                                    &checksum, NULL, error))
    return NULL;
  ostree_repo_transaction_set_ref (repo, NULL, "classic", checksum);
  if (!ostree_repo_commit_transaction (repo, NULL, NULL, error))
    return NULL;
  return checksum;
}

static gboolean
deploy (OstreeSysroot *sysroot, const char *stateroot, const char *checksum, GError **error)
{
  g_autoptr (GPtrArray) wanted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GPtrArray) present = ostree_sysroot_get_deployments (sysroot);
  g_autoptr (OstreeDeployment) made = NULL;
  OstreeDeployment *merge = ostree_sysroot_get_merge_deployment (sysroot, stateroot);
  g_autoptr (GKeyFile) origin = ostree_sysroot_origin_new_from_refspec (sysroot, "classic");
  OstreeSysrootWriteDeploymentsOpts options = { .do_postclean = FALSE };

  if (!ostree_sysroot_deploy_tree (sysroot, stateroot, checksum, origin, merge, NULL, &made, NULL,
                                   error))
    return FALSE;
  g_ptr_array_add (wanted, g_object_ref (made));
  for (guint i = 0; i < present->len; i++)
    g_ptr_array_add (wanted, g_object_ref (present->pdata[i]));
  return ostree_sysroot_write_deployments_with_options (sysroot, wanted, &options, NULL, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  if (argc < 7)
    g_error ("usage: classic SYSROOT STATEROOT BASE STOP CHECKOUT COMMAND PACKAGE...");
  const char *stateroot = argv[2], *base = argv[3], *stop = argv[4], *target = argv[5];
  g_autoptr (GFile) path = g_file_new_for_path (argv[1]);
  g_autoptr (OstreeSysroot) sysroot = ostree_sysroot_new (path);
  g_autoptr (OstreeRepo) repo = NULL;
  OstreeRepoDevInoCache *cache = ostree_repo_devino_cache_new ();

  if (!ostree_sysroot_load (sysroot, NULL, &error)
      || !ostree_sysroot_get_repo (sysroot, &repo, NULL, &error)
      || !ostree_sysroot_lock (sysroot, &error))
    g_error ("%s: %s", argv[1], error->message);
  check_out (repo, base, target, cache, FALSE, &error);
  for (int i = 7; i < argc; i++)
    check_out (repo, argv[i], target, cache, TRUE, &error);
  g_autofree char *quoted = g_shell_quote (target);
  g_autofree char *command = g_strdup_printf ("cd %s && { %s; }", quoted, argv[6]);
  if (system (command) != 0)
    g_error ("the command failed: %s", command);
  g_autofree char *checksum = commit_again (repo, base, target, cache, &error);
  if (!checksum)
    g_error ("commit: %s", error->message);
  if (strcmp (stop, "commit") != 0 && !deploy (sysroot, stateroot, checksum, &error))
    g_error ("deploy: %s", error->message);
  g_print ("%s\n", checksum);
  ostree_repo_devino_cache_unref (cache);
  return 0;
}
