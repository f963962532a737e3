"""The screen: views, dialogs and widgets over the client. The only room that imports Textual."""
