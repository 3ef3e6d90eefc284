package android.content;

import android.content.res.AssetManager;

/** The signatures that AndroidModelPicker.kt uses, after Android's reference; so are the other stubs. */
public abstract class Context {
    public static final int MODE_PRIVATE = 0;

    public abstract String getPackageName();

    public abstract AssetManager getAssets();

    public abstract Context createPackageContext(String packageName, int flags);

    public abstract SharedPreferences getSharedPreferences(String name, int mode);
}
